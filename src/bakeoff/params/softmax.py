"""The softmax DNN and its negatives."""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from bakeoff.params.base import Frozen, Share


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
