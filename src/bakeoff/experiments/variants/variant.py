"""A contender with a few settings changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bakeoff.params import Params, parse_params


@dataclass(frozen=True)
class Variant:
    """One model of a group.

    Attributes:
        name: told apart by it within the group; fit for a file or a key.
        model: the contender that is changed.
        label: for people, such as "2 × 64".
        settings: what is changed, by dotted names of `params.yaml`: {"mf.unobserved_weight": 0.01}.
        base: whether nothing is, so that this is the model as it stands in `params.yaml`.
        positives_only: whether the softmax DNN is trained without any negative, for which there is no setting.
    """

    name: str
    model: str
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    base: bool = False
    positives_only: bool = False

    def params(self, standing: Params) -> Params:
        """The standing parameters with the settings of the variant in their place.

        Raises:
            BakeoffError: a setting does not exist, or its value can't be, or not beside the others.
        """
        return with_settings(standing, self.settings, f"Variant {self.name!r} of {self.model}")


def with_settings(standing: Params, settings: Mapping[str, Any], source: str) -> Params:
    """Parameters in which these values take the place of those that stand.

    Args:
        standing: all parameters.
        settings: values by dotted name.
        source: what an error says is not valid.

    Raises:
        BakeoffError: a setting does not exist, or its value can't be, or not beside the others.
    """
    values = standing.model_dump(mode="json")
    for name, value in settings.items():
        *path, last = name.split(".")
        section = values
        for part in path:
            section = section.setdefault(part, {})  # what does not exist is refused below
        section[last] = value
    return parse_params(values, source)


def with_bases(variants: Iterable[Variant], standing: Params) -> tuple[Variant, ...]:
    """The variants, those that change nothing marked as base; one of each model that lacks it is put before its others.

    Raises:
        BakeoffError: the settings of a variant are not valid.
    """
    marked = [replace(each, base=each.params(standing) == standing and not each.positives_only) for each in variants]
    result: list[Variant] = []
    for model in dict.fromkeys(each.model for each in marked):
        of_model = [each for each in marked if each.model == model]
        if not any(each.base for each in of_model):
            result.append(Variant(f"{model}-shipped", model, "as shipped", base=True))
        result += of_model
    return tuple(result)
