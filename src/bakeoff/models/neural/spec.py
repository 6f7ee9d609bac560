"""The softmax DNN and the two-tower model as the rest of the project knows them: settings and specs."""

from functools import partial
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bakeoff.core.parameters import Dimension, Frozen, Search, Share
from bakeoff.models.base.specs import DataFacts, ModelSpec, described

SamplerName = Literal["in-batch", "uniform", "popularity", "log-uniform", "full"]
"""Samplers that can stand alone or be part of a mixture."""


class NegativesParams(Frozen):
    """What the softmax is trained against."""

    sampler: Annotated[
        Literal[SamplerName, "mixed"], Search(choices=("in-batch", "uniform", "popularity", "mixed"))
    ] = "in-batch"
    """Where negatives come from: other users' targets; every item alike; train frequency^β; the logarithm of the
    rank by frequency; the whole catalogue, the reference for small ones; or a mixture."""
    mixture: Annotated[tuple[SamplerName, ...], Field(min_length=1)] = ("in-batch", "uniform")
    """Samplers whose candidates are put together (mixed)."""
    num_sampled: PositiveInt = 512
    """Negatives drawn per step and shared by the batch (uniform, popularity and log-uniform)."""
    popularity_exponent: NonNegativeFloat = 0.75
    """β: the popularity sampler draws items in proportion to train frequency^β."""
    logq_correction: bool = True
    """Whether sampled logits are corrected by the log of their expected count."""
    correct_targets: bool = True
    """Whether the positive is corrected as the candidates are; else it is compared as it is with an estimate of the
    whole partition function. Only with logq_correction."""
    selection: Literal["none", "hard", "top-k"] = "none"
    """Which of the sampled candidates a query is trained against: all; draws that grow with the current score, with
    a correction of their own; the highest-scored, for which no correction is exact."""
    num_selected: PositiveInt = 64
    """Candidates that each query keeps (hard and top-k)."""
    hard_temperature: PositiveFloat = 1.0
    """Temperature of hard draws: the lower, the harder the negatives."""


MAX_ATTENDED = 1024
"""Items of a history that the attention tower may read: memory and time of a step grow with their square."""

_IF_ATTENTION = ("tower", "attention")


class AttentionParams(Frozen):
    """The transformer of the attention tower; the pooled tower has none."""

    blocks: Annotated[int, Field(ge=1, le=8), Search(choices=(1, 2), only_if=_IF_ATTENTION)] = 1
    """Transformer blocks. The last one computes the queries alone, each other one the whole history."""
    heads: Annotated[int, Field(ge=1, le=64), Search(choices=(2, 4), only_if=_IF_ATTENTION)] = 4
    """Heads of each block, of whose queries and keys each has its share of `dim` dimensions: a divisor of `dim`."""
    width: Annotated[Dimension, Search(choices=(64, 128, 256), only_if=_IF_ATTENTION)] = 128
    """Units of a block's gated network (SwiGLU)."""
    dropout: Annotated[Share, Search(choices=(0.0, 0.1, 0.2, 0.35), only_if=_IF_ATTENTION)] = 0.2
    """Dropout on the items that are read and on what each block adds."""


class SoftmaxParams(Frozen):
    """Softmax DNN: a query tower over history and features, item embeddings as the output layer."""

    dim: Annotated[Dimension, Search(choices=(32, 64, 128))] = 64
    """Embedding dimension d."""
    hidden: Annotated[tuple[Dimension, ...], Search(choices=((), (64,), (128,), (256,)))] = (128,)
    """Widths of the ReLU hidden layers of the query tower; none: the query is linear in the history."""
    tower: Literal["pooled", "attention"] = "pooled"
    """How the query tower reads a history: by recency-weighted means, or by a causal transformer. Where events have no
    time it is pooled."""
    attention: AttentionParams = AttentionParams()
    """The transformer (attention)."""
    max_epochs: PositiveInt = 24
    """Upper limit of epochs (each user is seen once an epoch). What ships is trained for as many as were best on
    validation NDCG@10, within which the learning rate decays."""
    objective: Literal["next", "reconstruct"] = "next"
    """Predict later items from earlier ones, or all of a user's items from those that were not dropped."""
    users_per_batch: PositiveInt = 32
    """Users in a batch, at most; the batches of an epoch are of equal size."""
    cuts_per_user: PositiveInt = 8
    """Points in a user's history at which the future is predicted, per user and batch (next)."""
    target_window: Annotated[PositiveInt, Search(choices=(3, 5, 10))] = 5
    """The target is the user's next items after the cut, at most this many (next)."""
    history_dropout: Share = 0.5
    """Share of a user's items that the query does not see (reconstruct)."""
    empty_history_share: Share = 0.05
    """Share of training queries with an empty history, like those of new users."""
    loss: Annotated[Literal["multi-hot", "per-pair"], Search(choices=("multi-hot", "per-pair"))] = "multi-hot"
    """Cross-entropy against the normalised multi-hot target, or a softmax per (query, positive) pair, in which the
    user's other positives do not compete."""
    weight_pairs_equally: bool = False
    """Whether every (query, positive) pair weighs the same, so that active users weigh more; else every query does."""
    max_history: PositiveInt = 256
    """Most recent items of a history that the query tower reads; at most 1,024 with attention."""
    recency_scales: tuple[PositiveFloat, ...] = (1.0, 4.0, 16.0, 80.0)
    """τ of each pooling head: the item at lag l weighs exp(−l/τ) in the head's mean. None: the plain mean, as
    wherever events have no time. With attention: where the heads' biases by position start, scale by scale in turn;
    none: at 0."""
    dropout: Annotated[Share, Search(choices=(0.1, 0.2, 0.35, 0.5))] = 0.5
    """Dropout on the query tower's input: the means of the history, or what the transformer makes of it."""
    normalize: bool = True
    """Whether query and item embeddings have length 1, so that logits are cosines over the temperature."""
    temperature: Annotated[PositiveFloat, Search(choices=(0.1, 0.2))] = 0.2
    """Temperature of the logits: what they are divided by."""
    learn_temperature: bool = True
    """Whether the temperature is only where training starts. On sparse data it is better fixed: training lowers it."""
    learning_rate: Annotated[PositiveFloat, Search(low=0.001, high=0.01, log=True)] = 0.003
    """Peak learning rate of Adam, after warm-up and before cosine decay."""
    renormalize_every: NonNegativeInt = 0
    """Steps after which the weights of item embeddings, and of users' own vectors, are brought back to length 1; 0:
    never."""
    smoothing: Annotated[NonNegativeFloat, Search(choices=(0.0, 0.5))] = 0.0
    """Strength of smoothing after training: each item embedding moves towards the queries of its users; 0: none."""
    use_query_time: bool = False
    """Whether the query tower sees when a query is asked: how long after the last event, at what time of the day and on
    which day of the week (UTC). Only with next, and where events have times."""
    use_user_features: bool = True
    """Whether the query tower sees the user's features. A vector of each user's own is had by naming `user_id` a
    categorical one in data.user_features, whatever this says."""
    use_item_features: bool = True
    """Whether item embeddings get the sum of their features' embeddings."""
    negatives: NegativesParams = NegativesParams()
    """Negative sampling."""

    @model_validator(mode="after")
    def _time_fits(self) -> Self:
        if self.use_query_time and self.objective != "next":
            raise ValueError(
                f"use_query_time is true and objective is {self.objective}, whose queries have no time: set objective "
                "to next, or use_query_time to false"
            )
        return self

    @model_validator(mode="after")
    def _attention_fits(self) -> Self:
        if self.tower != "attention":
            return self
        if self.dim % self.attention.heads:
            raise ValueError(
                f"attention.heads is {self.attention.heads} and does not divide dim, {self.dim}: the heads share the "
                "dimensions evenly, so choose another number of heads"
            )
        if self.max_history > MAX_ATTENDED:
            raise ValueError(
                f"max_history is {self.max_history:,} and the attention tower reads at most {MAX_ATTENDED:,} items, "
                "since memory grows with their square: lower it, or set tower to pooled"
            )
        return self


class TwoTowerNegativesParams(NegativesParams):
    """What the two-tower model is trained against: items that have a train event, and none that have not.

    Nobody could have chosen a new item yet. Samplers that draw it all the same (uniform, log-uniform, full) teach the
    tower that its kind is never chosen: on MovieLens 100K its recall@100 fell from .27 to 0. So they are not offered.
    """

    sampler: Annotated[
        Literal["in-batch", "popularity", "mixed"], Search(choices=("in-batch", "popularity", "mixed"))
    ] = "mixed"
    """Where negatives come from: other users' targets; train frequency^β; or both."""
    mixture: Annotated[tuple[Literal["in-batch", "popularity"], ...], Field(min_length=1)] = ("in-batch", "popularity")
    """Samplers whose candidates are put together (mixed)."""
    popularity_exponent: NonNegativeFloat = 0.5
    """β: the popularity sampler draws items in proportion to train frequency^β; 0: all that have a train event
    alike."""


class TwoTowerParams(SoftmaxParams):
    """Two-tower: item features map to item embeddings, so that items without a train event can be ranked."""

    item_hidden: Annotated[tuple[Dimension, ...], Search(choices=((), (64,), (128,)))] = (64,)
    """Widths of the ReLU hidden layers of the item tower; none: an embedding is linear in the features."""
    use_item_id: bool = True
    """Whether an item that was trained on has an embedding of its own besides that of its features."""
    # 0 is not searched: validation has next to no events on new items, and would choose it at their cost.
    item_id_dropout: Annotated[Share, Search(choices=(0.1, 0.2, 0.3, 0.5))] = 0.1
    """Share of items whose own embedding is dropped in a training step, so that their features carry weight."""
    item_text_dropout: Annotated[Share, Search(choices=(0.5, 0.7, 0.9))] = 0.9
    """Share of items whose words are dropped in a training step, so that they are not learned as an id."""
    negatives: TwoTowerNegativesParams = TwoTowerNegativesParams()
    """Negative sampling."""

    @model_validator(mode="after")
    def _items_are_told_apart(self) -> Self:
        if not self.use_item_features and not self.use_item_id:
            raise ValueError("use_item_features and use_item_id are both false: nothing is left to tell items apart by")
        return self


NO_FEATURES = (
    "Items have no features, and without them the two-tower model is the softmax DNN: "
    "name some under data.item_features in params.yaml."
)


def why_not(facts: DataFacts, section: TwoTowerParams) -> str | None:
    """Why the two-tower model can't be trained on this data, or None."""
    return None if facts.has_item_features else NO_FEATURES


_neural_spec = partial(
    ModelSpec,
    trainer="bakeoff.models.neural.trainer:build",
    replicated="bakeoff.models.neural.replicas:build",
    starts_warm=True,
    load="bakeoff.models.neural.encoder:load",
    graph="bakeoff.models.neural.encoder:encoder_of",
    embeds_items_by="use_item_features",
    is_order_blind=lambda settings: not settings.get("recency_scales", True) and settings.get("tower") != "attention",
)

SPECS = (
    _neural_spec(
        name="softmax",
        role="contender",
        rank=50,
        params=SoftmaxParams,
        dash=(1, 0),
        **described(__package__, "softmax"),
    ),
    _neural_spec(
        name="two_tower",
        role="other",
        rank=60,
        params=TwoTowerParams,
        why_not=why_not,
        embed_items="bakeoff.models.neural.new_items:embed_items",
        dash=(10, 3),
        **described(__package__, "two_tower"),
    ),
)
