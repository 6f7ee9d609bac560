"""Stage `rerank`: the softmax DNN as a scorer of the candidates that MF retrieves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.cost import measure
from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json
from bakeoff.core.histories import Histories, Queries, draw_users
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared, load_held_out, load_prepared
from bakeoff.evaluation.folding import spurious_at_k
from bakeoff.evaluation.metrics import formulas
from bakeoff.evaluation.metrics import table as measures
from bakeoff.evaluation.params import EvaluateParams
from bakeoff.evaluation.ranking import TopLists, rank, rerank
from bakeoff.evaluation.ranking.reproducible_scores import block_size
from bakeoff.experiments.model_loading import Load, load_fitting
from bakeoff.experiments.skipped import why_skipped
from bakeoff.experiments.variants.relatedness import Relatedness, fit_relatedness
from bakeoff.experiments.variants.sample import of_how_many
from bakeoff.models.base.retriever import Retriever
from bakeoff.params import Params

RETRIEVER, SCORER = "mf", "softmax"
BESIDE = ("popularity", "ease")
"""Whose own lists stand beside them, where they were trained."""

CUTOFF = 10
"""k of spurious@k."""

SPURIOUS = f"spurious@{CUTOFF}"


def run(params: Params, workspace: Workspace, load: Load | None = None) -> None:
    """Rank MF's candidates by the softmax DNN's scores, beside MF's own order, the softmax DNN alone and baselines.

    Of more than `evidence.max_users` users with test items a seeded sample is asked about.

    Reads artifacts/split, both models, popularity and EASE; writes artifacts/rerank and artifacts/cost/rerank.json.
    Where training skipped one of the two, rerank.json says why and is all there is.

    Args:
        params: `evaluate`, `evidence.max_users`, `evidence.rerank_candidates`, `evidence.relatedness_weight`, `mf` and
            `seed` are used.
        workspace: where files lie.
        load: reads a retriever from its directory; `models.exported.load_retriever` if None.

    Raises:
        BakeoffError: a model or the split is missing, they do not belong together, no warm user has a test item, or
            the embeddings can't be used.
    """
    with measure(workspace, "rerank"):
        reasons = {model: why_skipped(workspace, model) for model in (RETRIEVER, SCORER)}
        skipped = [f"{model} was skipped: {reason}" for model, reason in reasons.items() if reason is not None]
        if skipped:
            _write_skipped(workspace, " ".join(skipped))
            return
        prepared = load_prepared(workspace)
        question = _question(workspace, prepared, params)
        beside = [m for m in BESIDE if workspace.model(m).exists() and why_skipped(workspace, m) is None]
        models = {model: load_fitting(workspace, model, prepared.items, load) for model in (*reasons, *beside)}
        systems = _systems(params, question, models, prepared.num_items)
        relatedness = fit_relatedness(
            question.known, prepared.num_items, params.mf, params.evidence.relatedness_weight, params.seed
        )
        per_user = _measure(params.evaluate, question, systems, relatedness)
        sentence = _sentence(params, question, prepared.num_items, relatedness.threshold)
        _write(workspace, prepared, question, systems, per_user, sentence)
    _print_summary(systems, per_user)


@dataclass(frozen=True)
class _Question:
    """Warm users with test items: `known` has a row for every user of the split, all else one for each asked.

    `sampled` says of how many they are a sample.
    """

    users: NDArray[np.int64]
    sampled: str
    known: Histories
    queries: Queries
    exclude: Histories
    truth: Histories


@dataclass(frozen=True)
class _System:
    """Lists, and of which candidates they were made: how many there were at most, and which share of the truth."""

    name: str
    lists: TopLists
    candidates: int | None = None
    recall: float | None = None


def _question(workspace: Workspace, prepared: Prepared, params: Params) -> _Question:
    test = load_held_out(workspace, prepared).test
    with_items = np.flatnonzero(test.lengths)
    if len(with_items) == 0:
        raise BakeoffError(
            "No warm user has a test item, so there is nothing to rank again: raise split.test_share in params.yaml, "
            "or bring more events per user, and split again."
        )
    users = with_items[draw_users(len(with_items), params.evidence.max_users, params.seed)]
    sampled = of_how_many(len(users), len(with_items))
    known = prepared.known()
    return _Question(users, sampled, known, prepared.queries(known, users), known.take(users), test.take(users))


def _sizes(params: Params, num_items: int) -> list[int]:
    """Numbers of candidates, ascending; what exceeds the catalogue is all of it, once."""
    return sorted({min(size, num_items) for size in params.evidence.rerank_candidates})


def _systems(params: Params, question: _Question, models: Mapping[str, Retriever], num_items: int) -> list[_System]:
    sizes, settings = _sizes(params, num_items), params.evaluate
    longest = {RETRIEVER: max(*sizes, settings.list_length)}
    alone = {
        name: rank(
            model,
            question.queries,
            question.exclude,
            question.truth,
            longest.get(name, settings.list_length),
            settings.users_per_block,
        )
        for name, model in models.items()
    }
    own = alone[RETRIEVER]
    relevant, num_relevant = formulas.relevance(own, question.truth), formulas.num_relevant(question.truth)
    systems = [_System(name, _first(lists, settings.list_length)) for name, lists in alone.items()]
    for size in sizes:
        first = _first(own, size)
        lists = rerank(models[SCORER], question.queries, first, question.truth, settings.users_per_block)
        recall = float(formulas.recall(relevant, num_relevant, size).mean())
        systems.append(_System(f"{RETRIEVER}→{SCORER}@{size}", _first(lists, settings.list_length), size, recall))
    return systems


def _first(lists: TopLists, count: int) -> TopLists:
    return TopLists(lists.items[:, :count], lists.scores[:, :count])


def _measure(
    settings: EvaluateParams, question: _Question, systems: Sequence[_System], relatedness: Relatedness
) -> dict[str, measures.PerUser]:
    """By system, accuracy metrics and spurious@10 of each user."""
    spurious = {system.name: np.full(len(question.users), np.nan) for system in systems}
    size = block_size(settings.users_per_block, len(relatedness.item_embeddings))
    for start in range(0, len(question.users), size):
        part = slice(start, start + size)
        related = relatedness.of(question.users[part])
        for system in systems:
            listed = system.lists.items[part]
            spurious[system.name][part] = spurious_at_k(listed, related, CUTOFF, relatedness.threshold)
    return {
        system.name: measures.accuracy_per_user(system.lists, question.truth, settings.cutoffs)
        | {SPURIOUS: spurious[system.name]}
        for system in systems
    }


def _sentence(params: Params, question: _Question, num_items: int, threshold: float) -> str:
    """What was done, for people."""
    sizes = " or ".join(f"{size:,}" for size in _sizes(params, num_items))
    sentence = (
        f"MF retrieves the {sizes} best items that a user has not had, and the softmax DNN puts them in the order of "
        f"its own scores, for {len(question.users):,} warm users with test items. An item is spurious where its "
        f"relatedness to the user, read off an ALS fit with weight {params.evidence.relatedness_weight:g} on "
        f"unobserved pairs, is below {threshold:g}."
    )
    if question.sampled:
        sentence += f" {question.sampled}"
    capped = [size for size in params.evidence.rerank_candidates if size > num_items]
    if capped:
        asked = " and ".join(f"{size:,}" for size in capped)
        sentence += f" The catalogue has {num_items:,} items: {asked} candidates are all of them."
    return sentence


def _write(
    workspace: Workspace,
    prepared: Prepared,
    question: _Question,
    systems: Sequence[_System],
    per_user: Mapping[str, measures.PerUser],
    sentence: str,
) -> None:
    tables = [
        pa.table(
            {
                "system": pa.array([system.name] * len(question.users), pa.string()),
                "user_id": prepared.user_ids(question.users),
                "num_test": formulas.num_relevant(question.truth),
                **per_user[system.name],
            }
        )
        for system in systems
    ]
    with replaced(workspace.rerank) as folder:
        pq.write_table(pa.concat_tables(tables), folder / "users.parquet")
        write_json(
            folder / "rerank.json",
            {"sentence": sentence, "systems": [_figures(system, per_user[system.name]) for system in systems]},
        )


def _figures(system: _System, per_user: measures.PerUser) -> dict[str, Any]:
    means = measures.or_none(measures.means(per_user))
    spurious = means.pop(SPURIOUS)
    return {
        "system": system.name,
        "candidates": system.candidates,
        "metrics": means,
        "candidate_recall": system.recall,
        SPURIOUS: spurious,
    }


def _write_skipped(workspace: Workspace, reason: str) -> None:
    with replaced(workspace.rerank) as folder:
        write_json(folder / "rerank.json", {"skipped": reason})
    print(f"Nothing is ranked again. {reason}")


def _print_summary(systems: Sequence[_System], per_user: Mapping[str, measures.PerUser]) -> None:
    for system in systems:
        means = measures.means(per_user[system.name])
        ndcg = next(name for name in means if name.startswith("ndcg@"))
        of_candidates = "" if system.recall is None else f"  recall of the candidates {system.recall:.4f}"
        print(f"{system.name}: {ndcg} {means[ndcg]:.4f}  {SPURIOUS} {means[SPURIOUS]:.4f}{of_candidates}")
