"""Top-k lists over the whole catalogue: exact, the same on every processor, with ties broken against the model."""

from bakeoff.evaluation.ranking.lists import TopLists, rank, reorder

__all__ = ["TopLists", "rank", "reorder"]
