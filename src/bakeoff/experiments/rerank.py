"""The softmax DNN as a scorer of the candidates that MF retrieves."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from bakeoff.core.histories import Histories, draw_users
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics import formulas, table
from bakeoff.evaluation.ranking import TopLists, reorder
from bakeoff.evaluation.ranking.protocol import EvalSet, users_with_test_items
from bakeoff.experiments.folding import CUTOFF, fit_relatedness
from bakeoff.experiments.params import ExperimentSettings, sentence
from bakeoff.experiments.variants.protocol import sample_sentence
from bakeoff.models.base.retriever import Retriever

RETRIEVER, SCORER = "mf", "softmax"

SPURIOUS = f"spurious@{CUTOFF}"


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
    entries, tables, num_test = [], [], formulas.num_relevant(eval_set.truth)
    for name, lists, candidates, recall in _ranked(settings, eval_set, models):
        shown = lists.first(settings.evaluate.list_length)
        accuracy = table.accuracy_per_user(shown, eval_set.truth, settings.evaluate.cutoffs)
        spurious = {SPURIOUS: relatedness.spurious_at_k(shown.items, users, CUTOFF)}
        entry = {"system": name, "candidates": candidates, "metrics": table.means_or_none(accuracy)}
        entries.append(entry | {"candidate_recall": recall} | table.means_or_none(spurious))
        tables.append(prepared.per_user_table(users, {"num_test": num_test, **accuracy, **spurious}, system=name))
        means = table.means(accuracy | spurious)
        ndcg = next(name for name in means if name.startswith("ndcg@"))
        found = "" if recall is None else f"  recall of the candidates {recall:.4f}"
        print(f"{name}: {ndcg} {means[ndcg]:.4f}  {SPURIOUS} {means[SPURIOUS]:.4f}{found}")
    sizes = " or ".join(f"{size:,}" for size in _sizes(settings, num_items))
    done = sentence("rerank", sizes=sizes, num_users=len(users), weight=weight, threshold=relatedness.threshold)
    beyond = " and ".join(f"{size:,}" for size in settings.evidence.rerank_candidates if size > num_items)
    capped = sentence("rerank_capped", num_items=num_items, sizes=beyond) if beyond else ""
    said = (done, sample_sentence(len(users), len(with_items)), capped)
    content = {"sentence": " ".join(filter(None, said)), "systems": entries}
    return content, pa.concat_tables(tables)


def _ranked(
    settings: ExperimentSettings, eval_set: EvalSet, models: Mapping[str, Retriever]
) -> Iterator[tuple[str, TopLists, int | None, float | None]]:
    """Name and lists of each model alone, then of the scorer over the retriever's candidates.

    Of the latter also how many candidates, at most, and the share of the truth among them.
    """
    params, sizes = settings.evaluate, _sizes(settings, len(models[RETRIEVER].item_embeddings))
    longest = {RETRIEVER: max(*sizes, params.list_length)}
    alone = {
        name: eval_set.rank(model, longest.get(name, params.list_length), params.users_per_block)
        for name, model in models.items()
    }
    yield from ((name, lists, None, None) for name, lists in alone.items())
    relevant = formulas.relevance(alone[RETRIEVER], eval_set.truth)
    num_relevant = formulas.num_relevant(eval_set.truth)
    for size in sizes:
        candidates = alone[RETRIEVER].first(size)
        lists = reorder(models[SCORER], eval_set.queries, candidates, eval_set.truth, params.users_per_block)
        recall = float(formulas.recall(relevant, num_relevant, size).mean())
        yield f"{RETRIEVER}→{SCORER}@{size}", lists, size, recall


def _sizes(settings: ExperimentSettings, num_items: int) -> list[int]:
    """Numbers of candidates, ascending; those beyond the catalogue become its size, once."""
    return sorted({min(size, num_items) for size in settings.evidence.rerank_candidates})
