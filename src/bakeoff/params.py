"""All of `params.yaml`, read and checked."""

from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, ValidationError, create_model, model_validator

from bakeoff.core.errors import LONGEST_SHOWN, BakeoffError, reading, shortened, visible
from bakeoff.core.parameters import MAX_BYTES, Frozen, read_yaml
from bakeoff.data.params import DataParams, SplitParams, ValidationParams
from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.experiments.params import CompareParams, EvidenceParams, ExperimentSettings
from bakeoff.experiments.training.params import WarmStartParams
from bakeoff.models.base.specs import spec, specs
from bakeoff.models.ease.spec import EASEParams
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.neural.spec import SoftmaxParams, TwoTowerParams
from bakeoff.models.popularity.spec import RecentPopularityParams
from bakeoff.ops.params import DriftParams, PromotionParams
from bakeoff.report.params import DisplayParams

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_MESSAGES = 20
"""Faults that a message lists; it counts the others."""
_REASONS = {
    "extra_forbidden": "there is no such parameter",
    "model_type": "must be a section, {} for its defaults",
    "tuple_type": "Input should be a valid list",
}
"""What pydantic says in words of Python, by its type of error."""


class Params(Frozen):
    """All of `params.yaml`; `params_class` adds the sections of models that other packages register."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of the split and of every model."""
    data: DataParams = DataParams()
    validation: ValidationParams = ValidationParams()
    split: SplitParams = SplitParams()
    recent_popularity: RecentPopularityParams = RecentPopularityParams()
    ease: EASEParams = EASEParams()
    mf: MFParams = MFParams()
    softmax: SoftmaxParams = SoftmaxParams()
    two_tower: TwoTowerParams = TwoTowerParams()
    evaluate: EvaluateParams = EvaluateParams()
    evidence: EvidenceParams = EvidenceParams()
    compare: CompareParams = CompareParams()
    report: DisplayParams = DisplayParams()
    warm_start: WarmStartParams = WarmStartParams()
    drift: DriftParams = DriftParams()
    promotion: PromotionParams = PromotionParams()

    @model_validator(mode="after")
    def _primary_metric_is_measured(self) -> Self:
        from bakeoff.evaluation.metrics.table import ACCURACY_LABELS  # loads NumPy, which --help does without

        measured = [f"{name}@{k}" for name in ACCURACY_LABELS for k in self.evaluate.cutoffs]
        if self.compare.primary_metric not in measured:
            raise ValueError(
                f"compare.primary_metric {self.compare.primary_metric!r} is not measured: it must be one of "
                f"{', '.join(measured)} (evaluate.cutoffs)"
            )
        return self

    def section(self, model: str) -> Frozen:
        """The settings of a model, of the class that its spec names.

        Raises:
            BakeoffError: there is no such model.
        """
        section: Frozen = getattr(self, model, None) or spec(model).params()
        return section

    @property
    def split_settings(self) -> dict[str, Any]:
        """What decides which events of the data are train, validation and test: full name → JSON value."""
        section = {f"split.{name}": value for name, value in self.split.model_dump(mode="json").items()}
        return {"seed": self.seed, "data.event_weights": dict(self.data.event_weights), **section}

    @property
    def experiments(self) -> ExperimentSettings:
        """The sections that experiments read."""
        models = {name: self.section(name) for name in specs()}
        return ExperimentSettings(self.seed, models, self.evaluate, self.evidence, self.compare)


def params_class() -> type[Params]:
    """`Params` with a section for every model that has settings, those of other packages last."""
    others = {name: each.params for name, each in specs().items() if name not in Params.model_fields}
    fields: dict[str, Any] = {name: (params, params()) for name, params in others.items() if params.model_fields}
    return create_model("Params", __base__=Params, __doc__=Params.__doc__, **fields) if fields else Params


def parse_params(values: Mapping[str, Any], source: str = "params.yaml") -> Params:
    """Check values against the models.

    Raises:
        BakeoffError: names each offending key, its value and what it must be.
    """
    try:
        return params_class().model_validate(values)
    except ValidationError as error:
        faults = list(map(_fault, error.errors()))
        lines = [f"  {fault}" for fault in faults[:MAX_MESSAGES]]
        more = [f"  and {len(faults) - MAX_MESSAGES:,} more"] if len(faults) > MAX_MESSAGES else []
        raise BakeoffError("\n".join([f"{source} is not valid:", *lines, *more])) from None


def load_params(path: Path) -> Params:
    """Read and check a parameter file.

    Raises:
        BakeoffError: the file is missing, is not YAML, or holds a value that is not valid.
    """
    if not path.exists():
        raise BakeoffError(f"{path} does not exist: run bakeoff in the project's directory.")
    if not path.is_file():
        raise BakeoffError(f"{path} is not a regular file: it must be a file with sections such as `split:`.")
    with reading(path, "it must be a readable file", OSError), path.open("rb") as stream:
        values = read_yaml(stream.read(MAX_BYTES + 1), str(path))
    if not isinstance(values, Mapping):
        held = "holds no value" if values is None else f"holds {shortened(values)}"
        raise BakeoffError(f"{path} {held}: it must hold sections such as `split:`.")
    return parse_params(values, str(path))


def _fault(error: "ErrorDetails") -> str:
    """Key, what is wrong, the value unless it is a whole section, and, where it is known, the fix."""
    place, kind, value = error["loc"], error["type"], error["input"]
    name = visible(".".join(str(part) for part in place)[:LONGEST_SHOWN])
    reason = _REASONS.get(kind) or error["msg"].removeprefix("Value error, ").replace("Tuple", "List")
    # What does not fit together is named in the reason.
    got = "" if kind == "value_error" and isinstance(value, Mapping) else f" (got {shortened(value)})"
    fix = ""
    if isinstance(value, date):
        fix = ": write it in quotation marks"
    if place == ("engine",):
        fix = ": the engine's settings are environment variables now, see docs/settings.md"
    elif kind == "extra_forbidden" and (close := get_close_matches(str(place[-1]), _names(place[:-1]), 1)):
        fix = f": did you mean {close[0]}?"
    return f"{name}: {reason}{got}{fix}".removeprefix(": ")


def _names(place: tuple[int | str, ...]) -> list[str]:
    """The parameters of a section; none where the place is not one."""
    section: Any = params_class()
    for name in place:
        field = getattr(section, "model_fields", {}).get(name)
        section = field and field.annotation
    return list(getattr(section, "model_fields", ()))
