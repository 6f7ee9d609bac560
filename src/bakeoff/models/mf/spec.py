"""Matrix factorisation as the rest of the project knows it: its settings and its spec."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bakeoff.core.parameters import Dimension, Frozen, Search
from bakeoff.models.base.specs import ModelSpec, described


class MFParams(Frozen):
    """Implicit ALS (Hu et al. 2008; Rendle et al. 2021)."""

    dim: Annotated[Dimension, Search(choices=(32, 64, 128, 256, 512))] = 64
    """Embedding dimension d."""
    max_epochs: PositiveInt = 16
    """Upper limit of epochs; the one with the best validation NDCG@10 is taken."""
    unobserved_weight: Annotated[NonNegativeFloat, Search(low=0.02, high=200.0, log=True)] = 0.1
    """Weight α₀ of a pair that was not observed; at 0 unrelated items may end up close together (folding)."""
    regularization: Annotated[PositiveFloat, Search(low=0.0001, high=30.0, log=True)] = 0.01
    """L2 weight λ. With ν = 0, where it doesn't grow with a row's events, values of 1 to 30 are usual."""
    regularization_exponent: Annotated[float, Field(ge=0, le=1), Search(low=0.0, high=1.0)] = 1.0
    """ν: λ grows with (frequency + α₀ · size of the other side)^ν; 0 is plain L2."""
    init_scale: PositiveFloat = 0.1
    """Norm of the initial embeddings, about: entries have standard deviation init_scale/√d."""
    solver: Literal["auto", "cholesky", "cg", "mllib"] = "auto"
    """How a row is solved in training: exactly (cholesky), by cg_steps of conjugate gradient from its last value (cg),
    or exactly where its system is small, min(events, dim) ≤ 16, and by conjugate gradient elsewhere (auto). `mllib`:
    Spark's own ALS on the cluster of BAKEOFF_SPARK_MASTER, for what does not fit one machine; all max_epochs, since it
    shows nothing between them. Variants and synthetic data, which are small, then take `auto`."""
    cg_steps: PositiveInt = 3
    """Steps of conjugate gradient in each half of an epoch; more come closer to each half's optimum."""
    recency_scale: Annotated[PositiveFloat | None, Search(choices=(None, 3.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0))] = None
    """τ of a query: where a user's embedding is computed from a history (fold-in), the item at lag l weighs exp(−l/τ);
    null: all weigh the same, as they do wherever events have no time. Training weighs all pairs the same in any
    case."""
    window: Annotated[PositiveInt | None, Search(choices=(None, 25, 50, 100, 200))] = None
    """Events of a row in training, about: a longer history is cut into windows of consecutive events, each with an
    embedding of its own, so that items are near which were taken near each other in time; null: a row is a user, as it
    is wherever events have no time. Fold-in uses the whole history in any case."""


SPECS = (
    ModelSpec(
        name="mf",
        role="contender",
        rank=40,
        params=MFParams,
        trainer="bakeoff.models.mf.als:build",
        starts_warm=True,
        session="bakeoff.models.mf.mllib:training_session",
        load="bakeoff.models.mf.mf:load",
        graph="bakeoff.models.mf.graph:MFEncoder",
        precomputes_users=True,
        is_order_blind=lambda settings: settings.get("recency_scale") is None,
        dash=(1, 0),
        **described(__package__, "mf"),
    ),
)
