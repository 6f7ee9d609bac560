"""`bakeoff decide`: the challenger beside what is in production, and whether it goes there.

No DVC stage: what is in production is told by tags in Git, which are no dependency that DVC could watch.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json, write_text
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.data.prepared.tables import HeldOut, Prepared, load_held_out, load_prepared
from bakeoff.evaluation.params import EvaluateParams
from bakeoff.experiments.folding import fit_relatedness
from bakeoff.experiments.latency import CALLS, LIST_LENGTH, WARM_UP_CALLS, take_turns
from bakeoff.experiments.params import EvidenceParams
from bakeoff.models.base import specs
from bakeoff.models.base.loading import extras_of, graph_bytes, load_serving
from bakeoff.models.base.storage import read_encoding, refuse_skipped, why_skipped
from bakeoff.models.mf.spec import MFParams
from bakeoff.ops.params import PromotionParams
from bakeoff.ops.promotion import decision_page as sheet
from bakeoff.ops.promotion.challenger import BEST, best_on_validation
from bakeoff.ops.promotion.decision import Decision, DecisionSide, decide, unchanged
from bakeoff.ops.promotion.leakage import knows_answers
from bakeoff.ops.promotion.measuring import Audience, measure
from bakeoff.ops.promotion.paired_test import DecisionRules, SideResult, compare
from bakeoff.ops.promotion.served_answers import ExportedModel, ExportedModelClient, UserQueries
from bakeoff.ops.registry.events import read_events
from bakeoff.ops.registry.files import (
    LOCK,
    data_at,
    directory_md5,
    fetch_model,
    model_md5_at,
    num_rows,
    recorded_md5,
    taken_back,
)
from bakeoff.ops.registry.git import check_repository
from bakeoff.ops.registry.history import Version, production
from bakeoff.report import formats
from bakeoff.report.accuracy import Statistics
from bakeoff.report.models import REFERENCE, model_noun
from bakeoff.report.params import CompareParams


@dataclass(frozen=True)
class DecisionSettings:
    """Sections of params.yaml that a decision depends on."""

    seed: int
    promotion: PromotionParams
    compare: CompareParams
    evaluate: EvaluateParams
    evidence: EvidenceParams
    mf: MFParams


def run(settings: DecisionSettings, workspace: Workspace, model: str | None = None) -> None:
    """Compare the challenger with the model in production and write reports/decision; nothing else is touched.

    Both are asked as people ask them, by the exported models, about the warm test users and the new users of the
    current split, whatever data and settings the model in production is from.

    Args:
        settings: sections of params.yaml that decide.
        workspace: inside a Git repository.
        model: who challenges; None: as `promotion.challenger` says.

    Raises:
        BakeoffError: no repository, no such model, a model that is not the one of dvc.lock, or files of the model in
            production that can't be had.
    """
    found = _decide(settings, workspace, model)
    with replaced(workspace.decision) as folder:
        write_json(folder / "decision.json", found.as_json())
        write_text(folder / "decision.md", sheet.decision_markdown(found))
        write_text(folder / "decision.html", sheet.decision_html(found))
    print(f"{found.outcome.value}: {sheet.decision_headline(found)}.")
    for reason in found.reasons:
        print(f"  {reason}")
    print(f"Report: {workspace.decision / 'decision.html'}")


def _decide(settings: DecisionSettings, workspace: Workspace, model: str | None) -> Decision:
    check_repository(workspace.root)
    events = read_events(workspace.root)
    name, chosen = _challenger(settings, workspace, model)
    challenger, md5 = _in_workspace(workspace, name)
    standing = production(events)
    champion = None if standing is None else _in_production(workspace.root, standing.version)
    if champion is not None and (champion.model, champion.md5) == (challenger.model, challenger.md5):
        return unchanged(challenger, champion)
    prepared = load_prepared(workspace)
    audience = _audience(prepared, load_held_out(workspace, prepared))
    both, leaks = _show(settings, workspace, prepared, audience, name, None if standing is None else standing.version)
    statistics = Statistics(settings.compare.confidence, settings.compare.resamples, settings.seed)
    margin = 0.0 if champion is None else settings.promotion.margin
    terms = DecisionRules(settings.compare.primary_metric, margin, settings.promotion.guardrails, statistics)
    primary, rails = compare(*both, leaks, terms, stand_in=champion is None)
    return decide(
        challenger,
        champion,
        primary,
        rails,
        left_out=(int(leaks[0].sum()), int(leaks[1].sum())),
        taken_back=taken_back(workspace.root, events, name, md5),
        chosen=chosen,
    )


def _challenger(settings: DecisionSettings, workspace: Workspace, model: str | None) -> tuple[str, str | None]:
    """Who challenges, and a sentence on why, where it was chosen."""
    named = model or settings.promotion.challenger
    if named != BEST:
        specs.check_model(named)
        refuse_skipped(workspace, named)
        return named, None
    paths = {name: workspace.training(name) for name in specs.names()}
    there = {name: path for name, path in paths.items() if path.exists() and why_skipped(workspace, name) is None}
    trainings = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in there.items()}
    best = best_on_validation(trainings, settings.compare.primary_metric)
    return best.model, (
        f"{formats.sentence(model_noun(best.model))} is the challenger because it is the best contender on validation "
        f"({formats.metric_label(best.metric)} {formats.decimal(best.value)}); test had no part in that."
    )


def _in_workspace(workspace: Workspace, model: str) -> tuple[DecisionSide, str]:
    """A model of the workspace, and what it hashes to.

    Raises:
        BakeoffError: dvc.lock records no such model, or other bytes than there are.
    """
    exported = workspace.saved_model(model)
    md5 = recorded_md5(_text(workspace.root / LOCK), f"models/{model}/saved_model")
    if md5 is None:
        raise BakeoffError(
            f"{workspace.root / LOCK} records no models/{model}/saved_model, and only what DVC keeps can go into "
            f"production: run `dvc repro export@{model}`."
        )
    if directory_md5(exported) != md5:
        raise BakeoffError(
            f"{exported} is not what {LOCK} records ({md5}), and only what DVC keeps can go into production: run "
            f"`dvc repro export@{model}`, or `dvc checkout --force {exported}`."
        )
    data = read_data_hash(_text(workspace.root / "data.dvc") or "")
    rows = num_rows(json.loads(_text(workspace.validation_report) or "{}"))
    return DecisionSide(model, md5, data_md5=data, rows=rows), md5


def _in_production(root: Path, version: Version) -> DecisionSide:
    """A version as its commit records it."""
    data, rows = data_at(root, version.commit)
    return DecisionSide(version.model, model_md5_at(root, version.place), version.number, version.commit, data, rows)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _audience(prepared: Prepared, held_out: HeldOut) -> Audience:
    """Warm users with test items, told what is known of them, and new users, told all of their history part."""
    warm, new = (np.flatnonzero(part.lengths) for part in (held_out.test, held_out.new_test))
    known = prepared.known()
    return Audience(
        warm=UserQueries(prepared.users, warm, known.take(warm), held_out.test.take(warm)),
        new=UserQueries(prepared.users, new, held_out.new_history.take(new), held_out.new_test.take(new)),
        warm_users=warm,
        counts=prepared.train_counts,
        num_warm_users=prepared.num_warm_users,
    )


def _show(
    settings: DecisionSettings,
    workspace: Workspace,
    prepared: Prepared,
    audience: Audience,
    model: str,
    version: Version | None,
) -> tuple[tuple[SideResult, SideResult], tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """What challenger and champion show, and which users the champion was trained on the answers of.

    Popularity takes the champion's place where nothing is in production.
    """
    asker = ExportedModelClient(
        prepared.item_ids.to_pylist(), _list_length(settings), settings.evaluate.users_per_block
    )
    metric, limits = settings.compare.primary_metric, settings.promotion.guardrails
    relatedness = None
    with TemporaryDirectory(prefix="bakeoff-champion-") as folder:
        # What is not to be had is told before anything is computed.
        before = (
            workspace.saved_model(REFERENCE)
            if version is None
            else fetch_model(workspace.root, version, Path(folder) / version.model)
        )
        served = {"challenger": _load(workspace.saved_model(model)), "champion": _load(before)}
    if limits.spurious_rise is not None:
        weight = settings.evidence.relatedness_weight
        relatedness = fit_relatedness(prepared.known(), prepared.num_items, settings.mf, weight, settings.seed)
    p95 = _p95(asker, served, audience, settings)
    shown = {
        name: SideResult(measure(asker, side, audience, metric, relatedness), p95[name], side.num_bytes)
        for name, side in served.items()
    }
    sides = audience.warm, audience.new
    warm, new = (
        np.zeros(len(side), np.bool_)
        if version is None
        else knows_answers(asker.known(served["champion"], side), side.told, side.truth)
        for side in sides
    )
    return (shown["challenger"], shown["champion"]), (warm, new)


def _list_length(settings: DecisionSettings) -> int:
    return max(settings.evaluate.list_length, int(settings.compare.primary_metric.partition("@")[2]))


def _load(folder: Path) -> ExportedModel:
    encoding = read_encoding(extras_of(folder))
    module = load_serving(folder)
    return ExportedModel(module, encoding.user, graph_bytes(folder))


def _p95(
    asker: ExportedModelClient, served: dict[str, ExportedModel], audience: Audience, settings: DecisionSettings
) -> dict[str, float]:
    """Seconds of one query about one person, the models in turns; NaN where there is nobody to ask about."""
    people = audience.warm if len(audience.warm) else audience.new
    if len(people) == 0:
        return dict.fromkeys(served, float("nan"))
    count = WARM_UP_CALLS + CALLS[1]
    rows = np.resize(np.random.default_rng(settings.seed).permutation(len(people)), count)
    calls = {name: asker.singles(side, people.take(rows), LIST_LENGTH) for name, side in served.items()}
    return {
        name: float(np.percentile(times, 95))
        for name, times in take_turns(calls, CALLS[1], settings.evidence.serving_seconds).items()
    }
