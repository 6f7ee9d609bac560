"""`bakeoff online`: what the log of `bakeoff serve` shows, and whether the offline comparison had said the same."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops.online.evaluate import CLICK, SIDES, UNDECIDED, evaluate, finding
from bakeoff.ops.online.log import log_folder, parts
from bakeoff.ops.promotion.promote import read_decision
from bakeoff.ops.registry.files import json_at
from bakeoff.report import formats
from bakeoff.report.render.pages import render_text

Side = Mapping[str, Any]
"""A model of a decision: its name and MD5."""


def run(
    workspace: Workspace, named: Path | None, event: str, clip: float, metric: str, confidence: float, *, as_json: bool
) -> None:
    """Print what the log shows, as text for people or as one JSON object for programs.

    Args:
        workspace: with the offline comparison, if there is one.
        named: directory of the log; None: see `log_folder`.
        event: kind of feedback that counts.
        clip: propensities below it count as it.
        metric: of the offline comparison.
        confidence: of all intervals.
        as_json: for programs.

    Raises:
        BakeoffError: there is no log, or a file can't be read.
    """
    folder = log_folder(workspace, named)
    if not parts(folder, "impressions"):
        raise BakeoffError(f"{folder} holds no log: `bakeoff serve --log {folder}` keeps one, with its first list.")
    log = evaluate(folder, event, clip)
    pairs = []
    for (champion, challenger), pair in log.pairs.items():
        found = {"champion": champion, "challenger": challenger} | pair.figures(confidence)
        if challenger is None:
            del found["win_rate"]
        elif before := offline(workspace, champion, challenger, metric):
            both = found["win_rate"]["finding"], before["finding"]
            was = UNDECIDED if UNDECIDED in both else "right" if both[0] == both[1] else "wrong"
            found["offline"] = before | {"was": was}
        pairs.append(found)
    times = [f"{time:%Y-%m-%d %H:%M}" for time in (log.times.min(), log.times.max())]
    counts = {"users": log.num_users, "times": times, "events": log.events, "left_out": log.left_out}
    if as_json:
        settings = {"event": event, "confidence": confidence, "clip": clip}
        print(json.dumps(settings | counts | {"pairs": pairs}, indent=2, ensure_ascii=False))
        return
    console, total = Console(highlight=False, soft_wrap=True), len(log.times)
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in log.events.most_common()) or "none"
    lines = [f"{folder}: {total:,} lists, {log.num_users:,} users known by id; {' to '.join(times)} UTC."]
    lines += [f"Feedback: {kinds}." + ("" if log.events[event] else f" None is a {event}: --event names another kind.")]
    if log.left_out:
        lines += [f"Left out: {', '.join(f'{number:,} {why}' for why, number in log.left_out.items())}."]
    console.print("\n".join(lines), markup=False)
    for each in pairs:
        _show(console, each, event, formats.level(confidence))
    judged = [each["offline"]["was"] for each in pairs if each.get("offline", {}).get("was", UNDECIDED) != UNDECIDED]
    if len(judged) > 1:
        console.print(f"\nThe offline comparison was right about {judged.count('right')} of {len(judged)} pairs.")


def offline(workspace: Workspace, champion: str, challenger: str, metric: str) -> dict[str, Any] | None:
    """What had been found of two models with these labels, challenger − champion on test; None: nothing.

    The last decision, if it compared the same files, in either order; else reports/metrics.json, by the models' names,
    whatever their version.
    """
    decision = read_decision(workspace) or {}
    sides, primary = [decision.get(side) or {} for side in SIDES], decision.get("primary") or {"low": None}
    paired = json_at(workspace.root, None, "reports/metrics.json").get("difference", {})
    decided, measured = [], []
    for labels, sign in (((champion, challenger), 1), ((challenger, champion), -1)):
        if primary["low"] is not None and all(map(is_label, labels, sides)):
            decided.append((primary | {"mean": primary["difference"], "source": "reports/decision"}, sign))
        first, second = (label.partition("@")[0] for label in labels)
        if figures := paired.get(f"{second}_vs_{first}", {}).get(metric):
            measured.append((figures | {"metric": metric, "source": "reports/metrics.json"}, sign))
    for found, sign in [*decided, *measured][:1]:
        low, high = sorted(sign * found[end] for end in ("low", "high"))
        interval = {"difference": sign * found["mean"], "low": low, "high": high, "finding": finding(low, high, 0)}
        return {"metric": found["metric"], "source": found["source"]} | interval
    return None


def is_label(label: str, side: Side) -> bool:
    """Whether a label of the log means this model: its name and the first digits of its hash."""
    model, digits = label.partition("@")[0], label.rpartition("+")[2]
    return bool(digits) and side.get("model") == model and str(side.get("md5")).startswith(digits)


def champion_share(folder: Path, champion: Side, challenger: Side, confidence: float) -> float:
    """The most of the decided lists that the champion may win, as the interval has it; 1 where nothing was interleaved.

    Raises:
        BakeoffError: a file of the log can't be read.
    """
    if not parts(folder, "impressions"):
        return 1.0
    rates = [
        pair.win_rate(confidence)
        for (first, second), pair in evaluate(folder, CLICK).pairs.items()
        if second is not None and is_label(first, champion) and is_label(second, challenger)
    ]
    return 1 - float(max(rates, key=lambda rate: int(rate["decided"]))["low"]) if rates else 1.0


def _show(console: Console, pair: Mapping[str, Any], event: str, level: str) -> None:
    title, _, facts = render_text("online.txt.j2", pair=pair, event=event, level=level).partition("\n")
    console.print(f"\n{title}", style="bold", markup=False)
    console.print(facts, end="", markup=False)
    table = Table(*(Column(head, no_wrap=True) for head in ("", "IPS", "SNIPS", "effective")), box=None, pad_edge=False)
    for side, figures in pair["counterfactual"].items():
        write = formats.signed if side == "difference" else formats.decimal
        texts = [[write(figures[key][name], 3) for name in ("value", "low", "high")] for key in ("ips", "snips")]
        size = formats.count(figures["effective"]) if "effective" in figures else ""
        name = side if pair["challenger"] else "without sampling"
        table.add_row(name, *(f"{value} ({low} to {high})" for value, low, high in texts), size)
    if table.rows:
        console.print(Padding(table, (0, 2)))
