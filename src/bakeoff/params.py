"""`params.yaml` as frozen, constrained models: the only place where a knob is set."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bakeoff.errors import BakeoffError

Share = Annotated[float, Field(ge=0, lt=1)]


class Frozen(BaseModel):
    """Base of all parameter models: immutable, no unknown keys, docstrings as descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ColumnParams(Frozen):
    """How the columns of a team's own files are named (`bakeoff fetch --from DIR`).

    Other columns of the users and items files are kept under their names, others of the interactions left out.
    """

    user_id: str = "user_id"
    """Column with the user's id."""
    item_id: str = "item_id"
    """Column with the item's id."""
    timestamp: str | None = "timestamp"
    """Column with the time of the event; null if there is none."""
    timestamp_unit: Literal["s", "ms", "iso"] = "s"
    """Unix seconds, Unix milliseconds, or ISO 8601 text (UTC unless it names an offset). Times and dates of
    a Parquet file say it themselves."""
    rating: str | None = None
    """Column with a rating; null if events have none."""
    split: str | None = None
    """Column that says train, valid or test (`split.method: predefined`); null if there is none."""
    title: str | None = "title"
    """Column of the items file with the name that people read; null: the id is the name."""


class DataParams(Frozen):
    """Where raw data comes from and which of its columns are features."""

    dataset: str = "ml-100k"
    """`ml-100k` or `ml-1m` (fetched), or a name of your own for data fetched with `--from DIR`."""
    columns: ColumnParams = ColumnParams()
    """Names of the columns in a team's own files."""
    user_features: dict[str, Literal["dense", "categorical"]] = {}
    """User columns that the softmax DNN may use; dense ones are standardised, categorical ones embedded."""
    item_features: dict[str, Literal["dense", "categorical", "tags"]] = {}
    """Item columns that item embeddings may use; `tags` are values joined by `|`."""


class ValidationParams(Frozen):
    """What a row must look like to be used, and how many bad rows are too many."""

    rating_min: float | None = 1
    """Lowest rating on the scale; null: not checked."""
    rating_max: float | None = 5
    """Highest rating on the scale; null: not checked."""
    earliest: str = "1990-01-01"
    """Events before this day (UTC) carry an impossible timestamp."""
    latest: str = "2100-01-01"
    """Events on or after this day (UTC) carry an impossible timestamp. A fixed day keeps runs alike."""
    max_quarantine_share: Share = 0.01
    """The pipeline stops when a larger share of any table's rows had to go to quarantine."""

    @field_validator("earliest", "latest")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise ValueError("must be a day such as 1990-01-31") from None

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> Self:
        if self.earliest >= self.latest:
            raise ValueError(f"earliest {self.earliest} must lie before latest {self.latest}")
        if self.rating_min is not None and self.rating_max is not None and self.rating_min > self.rating_max:
            raise ValueError(f"rating_min {self.rating_min:g} must not exceed rating_max {self.rating_max:g}")
        return self

    @property
    def earliest_second(self) -> int:
        """First possible timestamp in UTC seconds."""
        return _first_second(self.earliest)

    @property
    def latest_second(self) -> int:
        """First timestamp that is no longer possible, in UTC seconds."""
        return _first_second(self.latest)


def _first_second(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), time(), UTC).timestamp())


class SplitParams(Frozen):
    """How events are divided into train, validation and test."""

    method: Literal["user-temporal", "global-temporal", "leave-last-out", "random", "predefined"] = "user-temporal"
    """By time within each user; by one point in time for all; each user's last event; at random; as given."""
    test_share: Share = 0.2
    """Share of events (of each user, or of all) that are test."""
    valid_share: Share = 0.1
    """Share of events just before the test part that are validation; settings and epochs are chosen on it."""
    new_user_share: Share = 0.1
    """Share of users that are held out whole and asked about as new ones."""
    min_rating: float | None = None
    """Only events rated at least this high are positives; null: every event is."""

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.test_share + self.valid_share >= 1:
            raise ValueError(
                f"test_share {self.test_share} + valid_share {self.valid_share} leave nothing to train on: "
                "their sum must be below 1"
            )
        return self


class MFParams(Frozen):
    """Implicit ALS (Hu et al. 2008; Rendle et al. 2021)."""

    dim: PositiveInt = 64
    """Embedding dimension d."""
    max_epochs: PositiveInt = 16
    """Upper limit of epochs; the one with the best validation NDCG@10 is taken."""
    unobserved_weight: NonNegativeFloat = 0.1
    """Weight α₀ of a pair that was not observed; 0 lets the model fold."""
    regularization: PositiveFloat = 0.01
    """L2 weight λ."""
    regularization_exponent: Annotated[float, Field(ge=0, le=1)] = 1.0
    """ν: λ grows with (frequency + α₀ · size of the other side)^ν; 0 is plain L2."""
    init_scale: PositiveFloat = 0.1
    """Standard deviation of the initial embeddings' norm: entries are N(0, init_scale/√d)."""
    recency_scale: PositiveFloat | None = None
    """τ of fold-in: the item at lag l of a query's history weighs exp(−l/τ); null: all weigh the same, as they do
    wherever events have no time. Training weighs all pairs the same in any case."""


class NegativesParams(Frozen):
    """What the softmax is trained against."""

    sampler: Literal["in-batch", "uniform", "popularity", "full"] = "in-batch"
    """Where negatives come from; `full` is the whole catalogue, the reference for small ones."""
    num_sampled: PositiveInt = 512
    """Negatives drawn per step and shared by the batch (uniform and popularity)."""
    popularity_exponent: NonNegativeFloat = 0.75
    """β: the popularity sampler draws items in proportion to train frequency^β."""
    logq_correction: bool = True
    """Whether sampled logits are corrected by the log of their expected count."""


class SoftmaxParams(Frozen):
    """Softmax DNN: a query tower over history and features, item embeddings as the output layer."""

    dim: PositiveInt = 64
    """Embedding dimension d."""
    hidden: tuple[PositiveInt, ...] = (128,)
    """Widths of the ReLU hidden layers of the query tower."""
    max_epochs: PositiveInt = 24
    """Upper limit of epochs (each user is seen once an epoch); the best on validation NDCG@10 is taken."""
    users_per_batch: PositiveInt = 32
    """Users in a batch."""
    cuts_per_user: PositiveInt = 8
    """Points in a user's history at which the future is predicted, per user and batch."""
    target_window: PositiveInt = 5
    """The target is the user's next items after the cut, at most this many."""
    empty_history_share: Share = 0.05
    """Share of training queries that are asked with an empty history, as a new user's would be."""
    max_history: PositiveInt = 256
    """Most recent items of a history that the query tower reads."""
    recency_scales: tuple[PositiveFloat, ...] = (1.0, 4.0, 16.0, 80.0)
    """τ of each pooling head: the item at lag l weighs exp(−l/τ) in the head's mean."""
    dropout: Share = 0.5
    """Dropout on the query tower's input."""
    temperature: PositiveFloat = 0.2
    """Initial temperature of the cosine logits; learned."""
    learning_rate: PositiveFloat = 0.003
    """Peak learning rate of Adam, after warm-up and before cosine decay."""
    use_user_features: bool = True
    """Whether the query tower sees the user's features."""
    use_item_features: bool = True
    """Whether item embeddings get the sum of their features' embeddings."""
    negatives: NegativesParams = NegativesParams()
    """Negative sampling."""


class EvaluateParams(Frozen):
    """What is measured."""

    cutoffs: tuple[PositiveInt, ...] = (10, 20, 100)
    """k of recall@k, ndcg@k, mrr@k, hit_rate@k."""
    list_length: PositiveInt = 100
    """Length of the lists that are written."""
    first_interactions: tuple[NonNegativeInt, ...] = (0, 1, 5)
    """New users are asked about with this many of their first events, and with all."""
    users_per_block: PositiveInt = 1024
    """Users ranked at once: bounds memory to users_per_block × items scores."""

    @model_validator(mode="after")
    def _lists_are_long_enough(self) -> Self:
        if max(self.cutoffs) > self.list_length:
            raise ValueError(
                f"list_length {self.list_length} is shorter than the largest cutoff {max(self.cutoffs)}: raise it"
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_measured_twice(self) -> Self:
        for name in ("cutoffs", "first_interactions"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {list(values)} names a value twice: leave it out")
        return self


class CompareParams(Frozen):
    """How the verdict is reached."""

    primary_metric: str = "ndcg@10"
    """The metric that the verdict is about."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the intervals."""
    resamples: PositiveInt = 10_000
    """Bootstrap resamples of users, and sign flips of the permutation test."""
    example_users: Annotated[int, Field(ge=1, le=6)] = 4
    """Users whose history and lists the report shows, at most 6."""


class Params(Frozen):
    """All of `params.yaml`."""

    seed: NonNegativeInt = 42
    """Seed of the split and of every model."""
    data: DataParams = DataParams()
    validation: ValidationParams = ValidationParams()
    split: SplitParams = SplitParams()
    mf: MFParams = MFParams()
    softmax: SoftmaxParams = SoftmaxParams()
    evaluate: EvaluateParams = EvaluateParams()
    compare: CompareParams = CompareParams()

    @model_validator(mode="after")
    def _primary_metric_is_measured(self) -> Self:
        measured = [f"{name}@{k}" for name in ("ndcg", "recall", "mrr", "hit_rate") for k in self.evaluate.cutoffs]
        if self.compare.primary_metric not in measured:
            raise ValueError(
                f"compare.primary_metric {self.compare.primary_metric!r} is not measured: it must be one of "
                f"{', '.join(measured)} (evaluate.cutoffs)"
            )
        return self


def parse_params(values: Mapping[str, Any], source: str = "params.yaml") -> Params:
    """Check values against the models.

    Raises:
        BakeoffError: names each offending key, its value and what it must be.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in e['loc']) or 'values'}: {e['msg']} (got {e['input']!r})"
            for e in error.errors()
        ]
        raise BakeoffError(f"{source} is not valid:\n" + "\n".join(lines)) from None


def load_params(path: Path) -> Params:
    """Read and check a parameter file.

    Raises:
        BakeoffError: the file is missing, is not YAML, or holds a value that is not valid.
    """
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BakeoffError(f"{path} does not exist: run bakeoff in the project's directory.") from None
    except OSError as error:
        raise BakeoffError(f"{path} can't be read ({error.strerror}): it must be a readable file.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise BakeoffError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, Mapping):
        raise BakeoffError(f"{path} must hold sections such as `split:`, not {type(values).__name__}.")
    return parse_params(values, str(path))
