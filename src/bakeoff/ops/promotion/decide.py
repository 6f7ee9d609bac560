"""`bakeoff decide`: compare the challenger with what is in production, and decide whether it goes there.

No DVC stage: tags in Git say what is in production, and they are no dependency that DVC could watch.
"""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from operator import itemgetter
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json, write_text
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.experiments.training.validation import SELECTION_METRIC
from bakeoff.models.base import specs
from bakeoff.models.base.storage import refuse_skipped
from bakeoff.ops.git import check_repository
from bakeoff.ops.online.command import champion_share
from bakeoff.ops.online.log import log_folder
from bakeoff.ops.params import BEST
from bakeoff.ops.promotion.comparison import DecisionSettings, ExportedModel, compare_models
from bakeoff.ops.promotion.decision import Decision, DecisionSide, PrimaryComparison, decide, unchanged
from bakeoff.ops.registry import files, history
from bakeoff.report import formats
from bakeoff.report.models import REFERENCE, model_label, model_noun
from bakeoff.report.render.figure import FEW_TICKS, Spec, Table, layered, table_of
from bakeoff.report.render.pages import StillPicture, render_page, render_text


def run(settings: DecisionSettings, workspace: Workspace, model: str | None = None) -> None:
    """Compare the challenger with the model in production and write reports/decision; nothing else is touched.

    Both exported models are ranked for the warm test users and the new users of the current split, whatever data and
    settings the model in production is from.

    Args:
        settings: sections of params.yaml that decide.
        workspace: inside a Git repository.
        model: the challenger; None: as `promotion.challenger` says.

    Raises:
        BakeoffError: no repository, no such model, a model that is not the one of dvc.lock, or files of the model in
            production that can't be had.
    """
    found = _decide(settings, workspace, model)
    with replaced(workspace.decision) as folder:
        write_json(folder / "decision.json", found.as_json())
        for ending, text in pages(found).items():
            write_text(folder / f"decision.{ending}", text)
    print(f"{found.outcome.value}: {decision_headline(found)}.")
    for reason in found.reasons:
        print(f"  {reason}")
    print(f"Report: {workspace.decision / 'decision.html'}")


def best_on_validation(trainings: Mapping[str, Mapping[str, Any]]) -> tuple[str, float]:
    """The model with the best SELECTION_METRIC on validation at its selected epoch.

    Not on test: the best of three on test owes a part of that to luck, and the same test events would then decide
    whether it is good enough (selection bias).

    Args:
        trainings: model → its training.json; models that were skipped or whose epoch was not chosen have no value.

    Returns:
        the model, the first of equals, and its value.

    Raises:
        BakeoffError: no contender was validated.
    """
    values = {
        name: float(row[f"valid_{SELECTION_METRIC}"])
        for name, training in trainings.items()
        for row in training.get("curve", [])
        if row["epoch"] == training["selected_epoch"] and f"valid_{SELECTION_METRIC}" in row
    }
    if not values:
        raise BakeoffError(
            "No contender has a value on validation to be chosen by (nothing is trained, or split.valid_share is 0): "
            "run `dvc repro`, or name the challenger by promotion.challenger in params.yaml or --model."
        )
    return max(values.items(), key=itemgetter(1))


def _decide(settings: DecisionSettings, workspace: Workspace, model: str | None) -> Decision:
    root = workspace.root
    check_repository(root)
    events = history.read_events(root)
    name, chosen = _challenger(settings, workspace, model)
    challenger = _in_workspace(workspace, name)
    standing = history.production(events)
    version = None if standing is None else standing.version
    champion = None if version is None else _side(root, version.model, version.number, version.commit)
    if champion is not None and (champion.model, champion.md5) == (challenger.model, challenger.md5):
        return unchanged(challenger, champion)
    stand_in = nullcontext(workspace.saved_model(REFERENCE))
    with stand_in if version is None else files.fetched(root, version) as before:
        prepared = load_prepared(workspace)
        models = [ExportedModel.load(path, prepared) for path in (workspace.saved_model(name), before)]
    share = math.nan
    if champion is not None and settings.promotion.guardrails.champion_online_share is not None:
        sides = vars(champion), vars(challenger)
        share = champion_share(log_folder(workspace), *sides, settings.compare.confidence)
    held_out, alone = load_held_out(workspace, prepared), champion is None
    found = compare_models(settings, prepared, held_out, *models, stand_in=alone, champion_share=share)
    return decide(challenger, champion, *found, files.taken_back(root, events, name, challenger.md5), chosen)


def _challenger(settings: DecisionSettings, workspace: Workspace, model: str | None) -> tuple[str, str | None]:
    """The name of the challenger, and a sentence on why, where it was chosen."""
    named = model or settings.promotion.challenger
    if named != BEST:
        specs.check_model(named)
        refuse_skipped(workspace, named)
        return named, None
    paths = {name: Workspace().training(name).as_posix() for name in specs.names()}
    best, value = best_on_validation({name: files.json_at(workspace.root, None, paths[name]) for name in paths})
    return best, (
        f"{formats.sentence(model_noun(best))} is the challenger because it is the best model on validation "
        f"({formats.metric_label(SELECTION_METRIC)} {formats.decimal(value)}); test had no part in that."
    )


def _side(root: Path, model: str, number: str | None = None, commit: str | None = None) -> DecisionSide:
    """A model as a commit has it or, without one, the workspace."""
    return DecisionSide(model, files.model_md5(root, commit, model), number, commit, *files.data_at(root, commit))


def _in_workspace(workspace: Workspace, model: str) -> DecisionSide:
    """A model of the workspace.

    Raises:
        BakeoffError: dvc.lock records no such model, or other bytes than there are.
    """
    found, exported = _side(workspace.root, model), workspace.saved_model(model)
    if found.md5 is None or files.directory_md5(exported) != found.md5:
        fault = f"{exported} is not what {files.LOCK} records ({found.md5})"
        if found.md5 is None:
            fault = f"{files.LOCK} records no models/{model}/saved_model"
        raise BakeoffError(
            f"{fault}, and only what DVC keeps can go into production: run `dvc repro export@{model}`, or `dvc "
            f"checkout --force {exported}`."
        )
    return found


def decision_headline(decision: Decision) -> str:
    """What follows, in a sentence without its full stop."""
    return render_text("headline.txt.j2", decision=decision).rstrip()


def pages(decision: Decision) -> dict[str, str]:
    """The page, small and without a script, and the same short in Markdown; by their endings."""
    promote = render_text("promote.md.j2", decision=decision).rstrip()
    shown: dict[str, Any] = {"decision": decision, "promote": promote, "sides": _side_table(decision)}
    shown["headline"] = decision_headline(decision)
    models = dict.fromkeys([decision.challenger.model, _opponent(decision)])
    page = render_page("decision.html.j2", models, picture=_picture(decision), **shown)
    return {"html": page, "md": render_text("decision.md.j2", **shown)}


def _side_table(decision: Decision) -> Table:
    """What is known of challenger and champion."""
    sides = [side for side in (decision.challenger, decision.champion) if side]
    facts = {
        "Model": [model_label(side.model) for side in sides],
        "Version": [side.version or "none yet" for side in sides],
        "Commit": [(side.commit or "")[:7] or "none yet" for side in sides],
        "Files, MD5": [_short(side.md5) for side in sides],
        "Data, MD5": [_short(side.data_md5) for side in sides],
        "Interactions": [formats.NO_VALUE if side.rows is None else formats.count(side.rows) for side in sides],
    }
    caption = "Versions and data of both sides" if decision.champion else "The challenger"
    columns = ["", "Challenger", "In production"][: len(sides) + 1]
    return table_of(caption, columns, [[name, *values] for name, values in facts.items()])


def _interval_with_margin(primary: PrimaryComparison, names: tuple[str, str]) -> Spec:
    """The difference with its interval, and lines at 0 and −margin."""
    found = pd.DataFrame([{"low": primary.low, "high": primary.high, "mean": primary.difference, "y": ""}])
    marks = [(0.0, "no difference")] + ([(-primary.margin, "margin")] if primary.margin else [])
    title = f"← {names[1]} ahead · {names[0]} ahead →"
    x = alt.X("low:Q", title=title, axis=FEW_TICKS, scale=alt.Scale(zero=False))
    color = "var(--good)" if primary.success else "var(--bad)"
    base = alt.Chart().encode(y=alt.Y("y:N", title=None, axis=None))
    interval = base.mark_rule(strokeWidth=6, stroke=color, opacity=0.6).encode(x=x, x2="high:Q")
    point = base.mark_point(filled=True, size=130, opacity=1, color=color).encode(x="mean:Q")
    lines = alt.Chart(pd.DataFrame(marks, columns=["at", "name"])).encode(x="at:Q")
    rules = lines.mark_rule(strokeDash=[4, 3], stroke="var(--text)")
    text = lines.mark_text(align="left", dx=5, baseline="top", color="var(--muted)", fontSize=12)
    return layered(found, [rules, text.encode(y=alt.value(2), text="name:N"), interval, point], height=90)


def _picture(decision: Decision) -> StillPicture | None:
    primary = decision.primary
    if primary is None or math.isnan(primary.low):
        return None
    challenger, opponent = model_label(decision.challenger.model), model_label(_opponent(decision))
    names = (challenger, opponent) if challenger != opponent else ("challenger", "production")
    where = "above" if primary.success else "below" if primary.high < -primary.margin else "not wholly above"
    return StillPicture(
        "difference",
        title=f"{formats.metric_label(primary.metric)}: {names[0]} − {names[1]}",
        alt=f"The mean difference {formats.signed(primary.difference)} with its interval from "
        f"{formats.signed(primary.low)} to {formats.signed(primary.high)}, with lines at 0 and at the margin.",
        sentence=f"The {formats.level(primary.confidence)} interval lies {where} {primary.bound}. The paired "
        f"permutation test over {formats.count(primary.num_users)} users gives {formats.p_value(primary.p)}.",
        spec=_interval_with_margin(primary, names),
    )


def _opponent(decision: Decision) -> str:
    return decision.champion.model if decision.champion else REFERENCE


def _short(md5: str | None) -> str:
    return "not recorded" if md5 is None else md5.removesuffix(".dir")[:12]
