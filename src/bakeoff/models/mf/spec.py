"""Matrix factorisation as the rest of the project knows it."""

from bakeoff.models.base.spec import ModelSpec
from bakeoff.models.mf.params import MFParams

SPECS = (
    ModelSpec(
        name="mf",
        label="MF",
        role="contender",
        rank=40,
        meaning="Matrix factorisation: one vector per user and one per item; their dot product is the score. "
        "Here implicit alternating least squares (Hu, Koren and Volinsky 2008).",
        params=MFParams,
        trainer="bakeoff.models.mf.trainer:build",
        load="bakeoff.models.mf.retriever:load",
        graph="bakeoff.models.mf.graph:encoder_of",
        precomputed="Item embeddings are stored, and a query is embedded when it is asked: its history is folded in, a "
        "least-squares problem of its own, which needs their Gramian.",
        precomputes_users=True,
        order="by recency_scale",
        light="#2560c9",
        dark="#85abff",
        shape="circle",
        dash=(1, 0),
    ),
)
