"""Top-k lists over the whole catalogue: exact, the same on every processor, with ties broken against the model."""

from bakeoff.evaluation.ranking.lists import TopLists, rank, rerank

__all__ = ["TopLists", "rank", "rerank"]
