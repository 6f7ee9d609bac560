"""The decision for people: a page, the same in Markdown, and the sentences of both."""

import math
from dataclasses import dataclass

import altair as alt
import pandas as pd

from bakeoff.ops.promotion.decision import Decision, DecisionOutcome, DecisionSide
from bakeoff.ops.promotion.guardrails import Guardrail, PrimaryComparison
from bakeoff.report import formats
from bakeoff.report.models import REFERENCE, model_label, model_noun
from bakeoff.report.render.chart_parts import FEW_TICKS, Spec, layered
from bakeoff.report.render.figure import Cell, Row, Table, table_of
from bakeoff.report.render.pages import StillPicture, document, escape, markdown_table, render_page, still_picture

TERMS = ("interval", "p-value", "new-user", "lift")
LABELS = {
    "new_user_loss": "Loss for new users",
    "popularity_lift_rise": "Rise of the popularity lift",
    "spurious_rise": "Rise of unrelated items",
    "p95_seconds": "p95 of one query",
    "model_bytes": "Exported model",
}
"""Guardrails, for people."""


@dataclass(frozen=True)
class Meter:
    """Share of a guardrail's limit that is used, as a bar whose mark is the limit.

    Attributes:
        label: of the guardrail.
        change: the figure that is limited.
        limit: the most that it may be.
        share: change / limit, in [0, 1.33]; None where there was nothing to measure.
        success: whether it holds.
        sentence: says it.
    """

    label: str
    change: str
    limit: str
    share: float | None
    success: bool
    sentence: str


def decision_headline(decision: Decision) -> str:
    """What follows, in a sentence."""
    challenger = formats.sentence(model_noun(decision.challenger.model))
    if decision.outcome is DecisionOutcome.UNCHANGED:
        return f"{challenger} stays in production: nothing has changed"
    if decision.outcome is DecisionOutcome.PROMOTE:
        return f"{challenger} goes into production" + _instead(decision.champion)
    stays = "nothing goes into production" if decision.champion is None else f"{_name(decision.champion)} stays"
    return f"{challenger} does not go into production: {stays}"


def what_promote_does(decision: Decision) -> str:
    """What `bakeoff promote` would do now, a sentence in Markdown."""
    if decision.outcome is DecisionOutcome.UNCHANGED:
        return "`bakeoff promote` changes nothing."
    if decision.outcome is DecisionOutcome.HOLD:
        return (
            '`bakeoff promote` changes nothing and prints these reasons. `bakeoff promote --despite "REASON"` puts the '
            "challenger into production all the same, and the tag keeps the reason."
        )
    model, champion = decision.challenger.model, decision.champion
    leaves = f", and takes {_name(champion)} out" if champion else ""
    return (
        f"Once the commit holds this `dvc.lock`, `bakeoff promote` registers it as the next version of `{model}`, "
        f"assigns the stage `prod`{leaves}: tags in Git, all or none. `bakeoff rollback` takes that back."
    )


def decision_html(decision: Decision) -> str:
    """The page: no script, small."""
    models = dict.fromkeys([decision.challenger.model, _opponent(decision)])
    return render_page(
        "decision.html.j2",
        models,
        TERMS if decision.primary else (),
        decision=decision,
        headline=decision_headline(decision),
        lead=decision.reasons[0],
        reasons=decision.reasons[1:],
        picture=_picture(decision),
        meters=[meter(rail) for rail in decision.guardrails],
        sides=side_table(decision),
        promote=what_promote_does(decision).split("`"),
        home="../index.html",
    )


def decision_markdown(decision: Decision) -> str:
    """The same, short: for a pull request or a log."""
    parts = [
        f"# {escape(decision_headline(decision))}",
        "\n".join(f"- {escape(reason)}" for reason in decision.reasons),
    ]
    if decision.guardrails:
        parts += ["## Guardrails", markdown_table(guardrail_table(decision))]
    parts += ["## Both sides", markdown_table(side_table(decision)), what_promote_does(decision)]
    return document(parts)


def guardrail_table(decision: Decision) -> Table:
    """A row per guardrail: what it is about, its limit, and whether it holds."""
    rows: list[Row] = [
        [shown.label, shown.change, shown.limit, Cell("holds" if shown.success else "broken", strong=not shown.success)]
        for shown in map(meter, decision.guardrails)
    ]
    return table_of("Guardrails", ["Guardrail", "Found", "At most", "Says"], rows)


def side_table(decision: Decision) -> Table:
    """What is known of challenger and champion."""
    sides = [decision.challenger, *([decision.champion] if decision.champion else [])]
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


def meter(rail: Guardrail) -> Meter:
    """A guardrail as a bar."""
    share = (
        None
        if math.isnan(rail.change)
        else min(max(rail.change / rail.limit, 0.0) if rail.limit else _all_or_none(rail), 4 / 3)
    )
    write = {"p95_seconds": formats.duration, "model_bytes": formats.megabytes}.get(rail.name, _four_digits)
    change = "not measured" if math.isnan(rail.change) else write(rail.change)
    return Meter(LABELS[rail.name], change, write(rail.limit), share, rail.success, rail.sentence)


def difference_with_margin(primary: PrimaryComparison, names: tuple[str, str]) -> Spec:
    """The difference with its interval, and lines at 0 and −margin."""
    found = pd.DataFrame([{"low": primary.low, "high": primary.high, "mean": primary.difference, "y": ""}])
    marks = [(0.0, "no difference")] + ([(-primary.margin, "margin")] if primary.margin else [])
    lines = pd.DataFrame(marks, columns=["at", "name"])
    y = alt.Y("y:N", title=None, axis=None)
    title = f"← {names[1]} ahead · {names[0]} ahead →"
    x = alt.X("low:Q", title=title, axis=FEW_TICKS, scale=alt.Scale(zero=False))
    colour = "var(--good)" if primary.success else "var(--bad)"
    base = alt.Chart().encode(y=y)
    interval = base.mark_rule(strokeWidth=6, stroke=colour, opacity=0.6).encode(x=x, x2="high:Q")
    point = base.mark_point(filled=True, size=130, opacity=1, color=colour).encode(x="mean:Q")
    rules = alt.Chart(lines).mark_rule(strokeDash=[4, 3], stroke="var(--text)").encode(x="at:Q")
    text = (
        alt.Chart(lines)
        .mark_text(align="left", dx=5, baseline="top", color="var(--muted)", fontSize=12)
        .encode(x="at:Q", y=alt.value(2), text="name:N")
    )
    return layered(found, [rules, text, interval, point], height=90)


def _picture(decision: Decision) -> StillPicture | None:
    primary = decision.primary
    if primary is None or math.isnan(primary.low):
        return None
    challenger, opponent = model_label(decision.challenger.model), model_label(_opponent(decision))
    names = (challenger, opponent) if challenger != opponent else ("challenger", "production")
    where = "above" if primary.success else "below" if primary.high < -primary.margin else "not wholly above"
    bound = "0" if primary.margin == 0 else f"{formats.signed(-primary.margin, 3)}, the margin"
    return still_picture(
        difference_with_margin(primary, names),
        "difference",
        title=f"{formats.metric_label(primary.metric)}: {names[0]} − {names[1]}",
        alt=f"The mean difference {formats.signed(primary.difference)} with its interval from "
        f"{formats.signed(primary.low)} to {formats.signed(primary.high)}, with lines at 0 and at the margin.",
        sentence=f"The {formats.level(primary.confidence)} interval lies {where} {bound}. The paired permutation test "
        f"over {formats.count(primary.num_users)} users gives {formats.p_value(primary.p)}.",
    )


def _opponent(decision: Decision) -> str:
    return decision.champion.model if decision.champion else REFERENCE


def _name(side: DecisionSide) -> str:
    return f"{side.model}@{side.version}"


def _instead(champion: DecisionSide | None) -> str:
    return ", the first that does" if champion is None else f" instead of {_name(champion)}"


def _short(md5: str | None) -> str:
    return "not recorded" if md5 is None else md5.removesuffix(".dir")[:12]


def _four_digits(value: float) -> str:
    return formats.decimal(value, 4)


def _all_or_none(rail: Guardrail) -> float:
    """Share of a limit of 0 that is used: nothing, or more than all."""
    return 0.0 if rail.success else math.inf
