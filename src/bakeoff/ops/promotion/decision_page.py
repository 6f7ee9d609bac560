"""The decision for people: a page, the same in Markdown, and the sentences of both."""

import math
from typing import Any

import altair as alt
import pandas as pd

from bakeoff.ops.promotion.decision import Decision, PrimaryComparison
from bakeoff.report import formats
from bakeoff.report.models import REFERENCE, model_label
from bakeoff.report.render.figure import FEW_TICKS, Spec, Table, layered, table_of
from bakeoff.report.render.pages import StillPicture, render_page, render_text

TERMS = ("interval", "p-value", "new-user", "lift")


def decision_headline(decision: Decision) -> str:
    """What follows, in a sentence without its full stop."""
    return render_text("headline.txt.j2", decision=decision).rstrip()


def pages(decision: Decision) -> dict[str, str]:
    """The page, small and without a script, and the same short in Markdown; by their endings."""
    promote = render_text("promote.md.j2", decision=decision).rstrip()
    shown: dict[str, Any] = {"decision": decision, "promote": promote, "sides": _side_table(decision)}
    shown["headline"] = decision_headline(decision)
    models, terms = dict.fromkeys([decision.challenger.model, _opponent(decision)]), TERMS if decision.primary else ()
    page = render_page("decision.html.j2", models, terms, picture=_picture(decision), **shown)
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
