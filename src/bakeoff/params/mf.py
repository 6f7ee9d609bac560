"""Matrix factorisation."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bakeoff.params.base import Frozen


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
