"""What clients send and get: the types of the OpenAPI document."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticKnownError
from starlette.exceptions import HTTPException

from bakeoff.models.base.list_options import LONGEST_DIVERSE
from bakeoff.ops.list_options import LARGEST_DEBIAS, MOST_FILTERS, Filter, Sent
from bakeoff.ops.online.evaluate import CLICK
from bakeoff.ops.reasons import Part

LONGEST_LIST = 10_000
"""Entries of a history or of an exclusion list."""

MOST_QUERIES = 256
"""Of one batch request."""

MOST_FEATURES = 1_000
"""Of someone new."""

LONGEST_VECTOR = 16_384
"""Components of a feature that is a vector: four times what common embeddings of text have."""

LONGEST_ANSWER = 1_000
"""Items of one answer."""

LONGEST_EXPLAINED = 20
"""Items of one answer with `why`: a network takes some 15 ms for each."""

Seconds = Annotated[int, Field(ge=-(2**62), le=2**62)]
ItemIds = Annotated[list[str], Field(max_length=LONGEST_LIST)]


def _counted(features: Any) -> Any:
    """Refuse too many features before their values are checked: pydantic counts the entries of a dictionary last."""
    if isinstance(features, dict) and len(features) > MOST_FEATURES:
        counts = {"max_length": MOST_FEATURES, "actual_length": len(features)}
        raise PydanticKnownError("too_long", {"field_type": "Dictionary", **counts})
    return features


Vector = Annotated[list[float], Field(max_length=LONGEST_VECTOR, fail_fast=True)]
Features = Annotated[
    dict[str, str | int | float | Vector | None], Field(max_length=MOST_FEATURES), BeforeValidator(_counted)
]
"""A vector ends at its first fault, since each component could have one."""


class Query(Sent):
    """A known user by `user_id`, or someone new by `history`, `features` or both."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"history": ["50", "181"], "features": {"age": 30}, "k": 5}]}
    )

    user_id: str | None = None
    """Id of a user that the model was trained on."""
    history: ItemIds | None = None
    """Item ids of someone new, oldest first; may be empty."""
    timestamps: Annotated[list[Seconds], Field(max_length=LONGEST_LIST)] | None = None
    """UTC seconds of the history's events; without them, times are unknown."""
    time: Seconds | None = None
    """UTC seconds at which the list is asked for, for a model that reads it (softmax.use_query_time). Null: now."""
    features: Features | None = None
    """Raw features of someone new, by name; a vector is an array of numbers. What is not named, null or empty is
    unknown."""
    k: int = Field(10, ge=1, le=LONGEST_ANSWER)
    """Length of the list, at most the size of the catalogue."""
    exclude: ItemIds = Field(default_factory=list)
    """Item ids that must not be in the list; unknown ones are passed over."""
    exclude_seen: bool | None = None
    """Leave out what is in the history, sent or known to the model. Null: as the model was evaluated, which leaves it
    out unless split.keep_repeats was set."""
    ignore_unknown: bool = False
    """Pass over items of the history that the catalogue does not have, instead of refusing."""
    allow: ItemIds | None = None
    """Item ids that alone may be in the list; unknown ones are passed over. Null: any item."""
    filters: Annotated[list[Filter], Field(max_length=MOST_FILTERS)] = Field(default_factory=list)
    """Conditions on features, which every item of the list meets."""
    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        description="0: by score; up to 1, items that are less like those before them in the list. With k of at most "
        f"{LONGEST_DIVERSE}.",
    )
    debias: float = Field(0.0, ge=0, le=LARGEST_DEBIAS)
    """0: by score; the larger, the less popular the items of the list."""
    why: bool = Field(
        False,
        description="Say what the items of the history contribute to each score: see ExplainedAnswer. Not in a batch, "
        f"and with k of at most {LONGEST_EXPLAINED}.",
    )


class Shown(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Item(Shown):
    """An entry of a list."""

    item_id: str
    score: float
    """Dot product of query and item embedding; comparable within one list. Lists are in their order, unless diversity
    or debias was asked for."""


class Answer(Shown):
    """A list, best first."""

    items: list[Item]
    """Shorter than k only where nothing else is left to recommend."""
    model: str
    version: str
    fallback: bool
    """Whether the model had no answer of its own, and its fallback answered."""
    ignored: list[str]
    """Items of the history that were passed over: see ignore_unknown."""
    impression: str | None = Field(None, exclude_if=lambda value: value is None)
    """Id of this list for POST /feedback, with a log alone."""


class ExplainedItem(Item):
    """An entry of a list with the reasons for it."""

    why: list[Part]
    """The parts of the score, which add up to it."""


class ExplainedAnswer(Answer):
    """The answer to a query with `why`."""

    items: list[ExplainedItem]  # type: ignore[assignment]
    explanation: str
    """How the scores were divided, and whether the parts are exact."""


class Feedback(Sent):
    """What somebody did with an item of a list."""

    impression: str = Field(max_length=64)
    """As the answer has it."""
    item_id: str = Field(max_length=1_000)
    """An item of that list."""
    event: str = Field(CLICK, pattern=r"^[\w.-]{1,32}$")
    """Its kind, such as click or buy."""


class Refusal(Shown):
    """Why there is no answer."""

    error: str
    status: int
    """The HTTP status that it has, or would have as a request of its own."""


class RefusedError(HTTPException):
    """A request that can't be answered: an HTTP status, and a text that says what to do.

    The status is 404 for what is not known, 422 for what makes no sense, 413 for a large body, 503 where too many wait.
    """


class BatchRequest(Sent):
    """Several queries in one request; only the first that is malformed is named, since all could be, at full length."""

    queries: Annotated[list[Query], Field(min_length=1, max_length=MOST_QUERIES, fail_fast=True)]


class BatchAnswer(Shown):
    """One answer per query, in their order; what can't be answered is refused alone."""

    answers: list[Answer | Refusal]


class ItemInfo(Shown):
    """An item of the catalogue."""

    item_id: str
    title: str


class Neighbour(ItemInfo):
    """An item close to another."""

    similarity: float
    """Cosine of the item embeddings, in [-1, 1]."""


class Neighbours(Shown):
    """The nearest items of an item, nearest first; none where it has no direction."""

    item_id: str
    neighbours: list[Neighbour]
    model: str
    version: str


class Origin(Shown):
    """Where a model comes from."""

    model: str
    version: str
    """Of the registry; `workspace` where a model of the workspace was named."""
    commit: str | None = None
    """Git revision that holds it."""
    promoted: str | None = None
    """When it went into production, UTC."""
    md5: str | None = None
    """What its files hash to, as dvc.lock records it."""

    @property
    def label(self) -> str:
        """`softmax@v2.0.0+1a2b3c4d`; the hash tells models of the workspace apart."""
        return f"{self.model}@{self.version}+{(self.md5 or '')[:8]}"


class ModelInfo(Origin):
    """What answers."""

    loaded: str
    """When this process began to answer with it, UTC."""
    items: int
    added_items: int
    """Of these, items that were added to the model without training it again."""
    users: int
    """Users that are known by id."""
    dim: int
    search: str
    """`exact`, `exact, prefiltered by 8-bit embeddings`, or `approximate` with what was measured at load."""
    recall: float | None
    """Of approximate search compared with brute force; null where search is exact."""
    user_features: list[str]
    """Features that may be sent of someone new."""
    item_features: list[str]
    """Features that filters may name."""
    failed: str | None
    """A newer promotion that could not be loaded, and why."""


class State(Shown):
    """Whether it lives, or takes requests or feedback."""

    status: str
