"""EASE as the rest of the project knows it."""

from bakeoff.models.base.spec import DataFacts, ModelSpec
from bakeoff.models.ease.params import EASEParams


def why_not(facts: DataFacts, section: EASEParams) -> str | None:
    """Why EASE can't be trained on this catalogue, or None."""
    if facts.num_items <= section.max_items:
        return None
    gigabytes = 14 * facts.num_items**2 / 1e9  # see ease.fit
    return (
        f"EASE weighs every item against every other: {facts.num_items:,} items would take {gigabytes:,.1f} GB. "
        f"They are more than ease.max_items = {section.max_items:,} in params.yaml."
    )


SPECS = (
    ModelSpec(
        name="ease",
        label="EASE",
        role="baseline",
        rank=30,
        meaning="A linear model in closed form: each item is predicted from all others that the user had (Steck 2019). "
        "The strongest of the simple models.",
        params=EASEParams,
        fit="bakeoff.models.ease.ease:fit_ease",
        load="bakeoff.models.ease.ease:load",
        graph="bakeoff.models.ease.graph:encoder_of",
        why_not=why_not,
        precomputed="The weights of items on items are stored, n × n; a query adds up those of its history.",
        order="by recency_scale",
        light="#454b55",
        dark="#d3d8dc",
        shape="cross",
        dash=(8, 2, 2, 2),
    ),
)
