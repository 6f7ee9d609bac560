"""The softmax DNN as a scorer of the candidates that MF retrieves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bakeoff.core.histories import Histories, draw_users
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics import formulas, table
from bakeoff.evaluation.metrics.table import PerUser
from bakeoff.evaluation.ranking import TopLists, reorder
from bakeoff.evaluation.ranking.protocol import EvalSet, users_with_test_items
from bakeoff.experiments.folding import CUTOFF, Relatedness, fit_relatedness
from bakeoff.experiments.params import ExperimentSettings, sentence
from bakeoff.experiments.variants.protocol import sample_sentence
from bakeoff.models.base.retriever import Retriever

RETRIEVER, SCORER = "mf", "softmax"

SPURIOUS = f"spurious@{CUTOFF}"


@dataclass(frozen=True)
class RankedSystem:
    """A model, or a scorer over the candidates of a retriever, and the metrics of its lists.

    Attributes:
        name: of the model, or `retriever→scorer@candidates`.
        per_user: accuracy metrics and spurious@10 of each user.
        candidates: that were reordered, at most; None without reranking.
        recall: share of the truth among the candidates; None without reranking.
    """

    name: str
    per_user: PerUser
    candidates: int | None = None
    recall: float | None = None

    def figures(self) -> dict[str, Any]:
        """Its entry in rerank.json."""
        means = table.means_or_none(self.per_user)
        spurious = means.pop(SPURIOUS)
        return {
            "system": self.name,
            "candidates": self.candidates,
            "metrics": means,
            "candidate_recall": self.recall,
            SPURIOUS: spurious,
        }


def measure_reranking(
    settings: ExperimentSettings, prepared: Prepared, test: Histories, models: Mapping[str, Retriever]
) -> tuple[dict[str, Any], pa.Table]:
    """Rank MF's candidates by the softmax DNN's scores, and compare with the models' own lists; prints a line each.

    If more than `evidence.max_users` users have test items, a seeded sample of them is used.

    Args:
        settings: the settings.
        prepared: the split.
        test: test events; rows are user_index.
        models: retriever and scorer, and the models that they are compared with.

    Returns:
        content of rerank.json, and a table with one row per system and user.

    Raises:
        BakeoffError: no warm user has a test item, or the embeddings are not finite.
    """
    with_items = users_with_test_items(test, "rank again")
    users = with_items[draw_users(len(with_items), settings.evidence.max_users, settings.seed)]
    known, num_items = prepared.known(), prepared.num_items
    eval_set = EvalSet.of(prepared, known, test, users)
    weight = settings.evidence.relatedness_weight
    relatedness = fit_relatedness(known, num_items, settings.mf, weight, settings.seed)
    systems = rank_systems(settings, eval_set, models, relatedness)
    for system in systems:
        means = table.means(system.per_user)
        ndcg = next(name for name in means if name.startswith("ndcg@"))
        recall = "" if system.recall is None else f"  recall of the candidates {system.recall:.4f}"
        print(f"{system.name}: {ndcg} {means[ndcg]:.4f}  {SPURIOUS} {means[SPURIOUS]:.4f}{recall}")
    sizes = " or ".join(f"{size:,}" for size in _sizes(settings, num_items))
    done = sentence("rerank", sizes=sizes, num_users=len(users), weight=weight, threshold=relatedness.threshold)
    beyond = " and ".join(f"{size:,}" for size in settings.evidence.rerank_candidates if size > num_items)
    capped = sentence("rerank_capped", num_items=num_items, sizes=beyond) if beyond else ""
    said = (done, sample_sentence(len(users), len(with_items)), capped)
    content = {"sentence": " ".join(filter(None, said)), "systems": [system.figures() for system in systems]}
    num_test = formulas.num_relevant(eval_set.truth)
    return content, pa.concat_tables(
        prepared.per_user_table(users, {"num_test": num_test, **each.per_user}, system=each.name) for each in systems
    )


def rank_systems(
    settings: ExperimentSettings, eval_set: EvalSet, models: Mapping[str, Retriever], relatedness: Relatedness
) -> list[RankedSystem]:
    """Each model alone, then the scorer over the retriever's candidates."""
    params, sizes = settings.evaluate, _sizes(settings, len(relatedness.item_embeddings))
    longest = {RETRIEVER: max(*sizes, params.list_length)}
    alone = {
        name: eval_set.rank(model, longest.get(name, params.list_length), params.users_per_block)
        for name, model in models.items()
    }

    def system(name: str, lists: TopLists, size: int | None = None, recall: float | None = None) -> RankedSystem:
        shown = lists.first(params.list_length)
        per_user = table.accuracy_per_user(shown, eval_set.truth, params.cutoffs)
        spurious = relatedness.spurious_at_k(shown.items, eval_set.users, CUTOFF)
        return RankedSystem(name, per_user | {SPURIOUS: spurious}, size, recall)

    systems = [system(name, lists) for name, lists in alone.items()]
    relevant = formulas.relevance(alone[RETRIEVER], eval_set.truth)
    num_relevant = formulas.num_relevant(eval_set.truth)
    for size in sizes:
        candidates = alone[RETRIEVER].first(size)
        lists = reorder(models[SCORER], eval_set.queries, candidates, eval_set.truth, params.users_per_block)
        recall = float(formulas.recall(relevant, num_relevant, size).mean())
        systems.append(system(f"{RETRIEVER}→{SCORER}@{size}", lists, size, recall))
    return systems


def _sizes(settings: ExperimentSettings, num_items: int) -> list[int]:
    """Numbers of candidates, ascending; those beyond the catalogue become its size, once."""
    return sorted({min(size, num_items) for size in settings.evidence.rerank_candidates})
