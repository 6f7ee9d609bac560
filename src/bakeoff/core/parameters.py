"""Parameter files: YAML read safely, what all models of its sections share, and which values are worth trying."""

import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from bakeoff.core.errors import BakeoffError

Share = Annotated[float, Field(ge=0, lt=1)]
"""A share that leaves something."""
MAX_DIMENSION = 8192
"""Widest vector or layer: beyond it a typing error would ask for more memory than machines have."""
Dimension = Annotated[int, Field(gt=0, le=MAX_DIMENSION)]
"""Length of a vector, or width of a layer."""


MAX_TEXT = 256
"""Characters of a text."""
MAX_INT = 2**53
"""Whole numbers up to here are exact as floats."""


class Frozen(BaseModel):
    """Base of all parameter models: immutable, strict types, no unknown keys, no infinity, docstrings as descriptions.

    Strict: `no` is no truth value, true is no number, and a number is no text.
    """

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_plain(cls, value: Any) -> Any:
        """Refuse control characters, long texts and huge numbers; YAML's lists become tuples."""
        if isinstance(value, list):
            value = tuple(value)
        for each in value if isinstance(value, tuple | dict) else (value,):
            _refuse(each)
        return value


def _refuse(value: Any) -> None:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"holds {len(value):,} characters, more than {MAX_TEXT}")
        if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in value):
            raise ValueError("holds a control character, a line break or half a character")
    elif isinstance(value, int) and abs(value) > MAX_INT:
        raise ValueError(f"holds a whole number beyond ±{MAX_INT:,}")


@dataclass(frozen=True)
class Search:
    """The values of a parameter that `bakeoff tune` tries, declared in its annotation.

    Either a range, `Annotated[PositiveFloat, Search(low=1e-4, high=0.1, log=True)]`, or a list of choices,
    `Annotated[PositiveFloat | None, Search(choices=(None, 3.0, 10.0))]`.

    Attributes:
        low: least value; the range is of whole numbers where both ends are.
        high: greatest value, itself included.
        log: whether values are spread evenly over magnitudes.
        choices: values without an order, None among them where the parameter may be null.
        only_if: setting of the model's section and its value, without which the parameter has no effect and is not
            tried: `("tower", "attention")`.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    only_if: tuple[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.choices:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("a search has choices or a range, not both")
            if len(self.choices) < 2:
                raise ValueError(f"choices {self.choices} leave nothing to search: name two or more")
        elif self.low is None or self.high is None or self.low >= self.high:
            raise ValueError(f"a range needs low < high, not {self.low} and {self.high}")
        elif self.log and self.low <= 0:
            raise ValueError(f"low {self.low} must be above 0 on a logarithmic scale")


def search_space(section: type[Frozen]) -> dict[str, Search]:
    """What a section of `params.yaml` declares as worth trying, in the order of its fields.

    Returns:
        by name within the section; a field of a nested section is named with a dot, `negatives.sampler`.
    """
    space: dict[str, Search] = {}
    for name, field in section.model_fields.items():
        for each in field.metadata:
            if isinstance(each, Search):
                space[name] = each
        if isinstance(field.annotation, type) and issubclass(field.annotation, Frozen):
            space |= {f"{name}.{inner}": each for inner, each in search_space(field.annotation).items()}
    return space


MAX_BYTES = 2**16
"""Ten times the shipped params.yaml; parsing this much takes a second or two."""
MAX_DEPTH = 20
"""Sections within sections; params.yaml has three."""
MAX_ALIASES = 10
"""Uses of anchors. Aliases of aliases multiply the values of a small file."""


def read_yaml(data: bytes, source: str) -> Any:
    """Read one YAML 1.2 document with ruamel's safe loader, which refuses duplicate keys and tags of other types.

    Args:
        data: the document, UTF-8.
        source: name of the file, for messages.

    Returns:
        mappings, lists, numbers, texts, true, false and null.

    Raises:
        BakeoffError: it is too large, too deep or repeats too much, or is not YAML; names the line.
    """
    if len(data) > MAX_BYTES:
        raise BakeoffError(f"{source} is larger than {MAX_BYTES:,} bytes: it is not the file that was expected.")
    try:
        text = data.decode("utf-8-sig")
        _refuse_bombs(text, source)
        yaml = YAML(typ="safe", pure=True)
        yaml.composer.warn_double_anchors = False  # YAML 1.2 allows them
        return yaml.load(text)
    # ruamel passes on what the conversion of a number, a date or an escape raises
    except (YAMLError, ValueError, OverflowError, LookupError, TypeError) as error:
        raise BakeoffError(f"{source} is not valid YAML: {_reason(error)}") from None


def _refuse_bombs(text: str, source: str) -> None:
    """Refuse what would take the parser minutes or gigabytes: it follows aliases of aliases, and calls itself."""
    depth = aliases = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        aliases += isinstance(event, AliasEvent)
        if depth > MAX_DEPTH or aliases > MAX_ALIASES:
            excess = f"{MAX_DEPTH} levels within each other" if depth > MAX_DEPTH else f"{MAX_ALIASES} aliases"
            raise BakeoffError(f"{source}, line {event.start_mark.line + 1}: more than {excess}; write the values out.")


def _reason(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        what = ", ".join(part for part in (error.context, error.problem) if part)
        return f"line {error.problem_mark.line + 1}: {what}."
    if isinstance(error, UnicodeDecodeError):
        return f"it is not in UTF-8 ({error.reason}, byte {error.start + 1}). Save it as UTF-8."
    return f"{error}."
