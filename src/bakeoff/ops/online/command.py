"""`bakeoff online`: what the log of `bakeoff serve` shows, beside what the offline comparison had said."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops.online.evaluate import CLICK, SIDES, Evaluation, Pair, evaluate
from bakeoff.ops.online.log import log_folder, parts
from bakeoff.ops.promotion.promote import read_decision
from bakeoff.report import formats

ESTIMATES = {"ips": "IPS", "snips": "SNIPS"}
UNDECIDED = "not decided"


class Offline(NamedTuple):
    """Challenger − champion on test; the interval is NaN where there is only the difference."""

    metric: str
    difference: float
    low: float
    high: float
    source: str

    @property
    def finding(self) -> str:
        """What it said of the challenger; by its sign where there is no interval."""
        low, high = (self.difference if math.isnan(end) else end for end in (self.low, self.high))
        return "better" if low > 0 else "worse" if high < 0 else UNDECIDED


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
    found = evaluate(folder, event, clip)
    pairs = [_figures(workspace, names, pair, metric, confidence) for names, pair in found.pairs.items()]
    if as_json:
        times = {"first": found.first.isoformat(), "last": found.last.isoformat()}
        counts = {"events": found.events, "left_out": found.left_out}
        content = {"event": event, "confidence": confidence, "clip": clip, **times, **counts, "pairs": pairs}
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in _overview(folder, found, pairs, event):
        console.print(line, markup=False)
    for each in pairs:
        _show(console, each, event, confidence)
    compared = [each["offline_was"] for each in pairs if each.get("offline_was") in ("right", "wrong")]
    if len(compared) > 1:
        console.print(f"\nThe offline comparison was right about {compared.count('right')} of {len(compared)} pairs.")


def offline(workspace: Workspace, champion: str, challenger: str, metric: str) -> Offline | None:
    """What had been found offline of two models with these labels.

    The last decision, if it compared the same files, in either order; else reports/metrics.json, by the models' names,
    whatever their version.
    """
    decision = read_decision(workspace) or {}
    primary, sides = decision.get("primary"), [decision.get(side) or {} for side in SIDES]
    for labels, sign in (((champion, challenger), 1), ((challenger, champion), -1)):
        if primary and all(is_label(label, side) for label, side in zip(labels, sides, strict=True)):
            ends = [primary[name] for name in ("difference", "low", "high")]
            return _signed(primary["metric"], ends, sign, "reports/decision")
    path = workspace.reports / "metrics.json"
    figures: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    names = [label.partition("@")[0] for label in (challenger, champion)]
    for (first, second), sign in ((names, 1), (names[::-1], -1)):
        if paired := figures.get("difference", {}).get(f"{first}_vs_{second}", {}).get(metric):
            return _signed(metric, [paired[name] for name in ("mean", "low", "high")], sign, "reports/metrics.json")
    values = [figures.get(name, {}).get(metric) for name in names]
    if None in values or names[0] == names[1]:
        return None
    return Offline(metric, values[0] - values[1], math.nan, math.nan, "reports/metrics.json")


def is_label(label: str, side: Mapping[str, Any]) -> bool:
    """Whether a label of the log means this model: its name and the first digits of its hash."""
    model, _, digits = label.partition("@")[0], *label.rpartition("+")[1:]
    return bool(digits) and side.get("model") == model and str(side.get("md5")).startswith(digits)


def champion_share(
    folder: Path, champion: Mapping[str, Any], challenger: Mapping[str, Any], confidence: float
) -> float:
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
    return 1 - max(rates, key=lambda rate: rate.decided).low if rates else 1.0


def _signed(metric: str, ends: Sequence[float | None], sign: int, source: str) -> Offline:
    """With the sides changed where the sign is −1."""
    difference, *interval = (sign * (math.nan if end is None else end) for end in ends)
    return Offline(metric, difference, min(interval), max(interval), source)


def _figures(
    workspace: Workspace, names: tuple[str, str | None], pair: Pair, metric: str, confidence: float
) -> dict[str, Any]:
    champion, challenger = names
    found: dict[str, Any] = {"champion": champion, "challenger": challenger}
    found |= {"lists": pair.lists, "with_feedback": pair.with_feedback}
    if challenger is not None:
        rate, before = pair.win_rate(confidence), offline(workspace, champion, challenger, metric)
        found["win_rate"] = {**rate._asdict(), "finding": rate.finding}
        if before is not None:
            interval = None if math.isnan(before.low) else [before.low, before.high]
            found["offline"] = {**before._asdict(), "finding": before.finding, "interval": interval}
            del found["offline"]["low"], found["offline"]["high"]
            is_open = UNDECIDED in (rate.finding, before.finding)
            found["offline_was"] = UNDECIDED if is_open else "right" if rate.finding == before.finding else "wrong"
    return found | {"counterfactual": pair.counterfactual(confidence)}


def _overview(folder: Path, found: Evaluation, pairs: Sequence[Mapping[str, Any]], event: str) -> list[str]:
    lists, users = sum(each["lists"] for each in pairs), sum(not name.startswith("\0") for name in found.people)
    when = " to ".join(f"{time:%Y-%m-%d %H:%M}" for time in (found.first, found.last))
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in found.events.most_common()) or "none"
    lines = [f"{folder}: {lists:,} lists of {users:,} known users, {when} UTC. Feedback: {kinds}."]
    if found.left_out:
        lines.append(f"Left out: {', '.join(f'{number:,} {why}' for why, number in found.left_out.items())}.")
    if not found.events[event]:
        lines.append(f"No feedback of the kind {event}: --event names another one.")
    return lines


def _show(console: Console, pair: Mapping[str, Any], event: str, confidence: float) -> None:
    """What is known of one model or two."""
    challenger = pair["challenger"]
    title = f"\n{pair['champion']}" + (" alone" if challenger is None else f" (champion) and {challenger} (challenger)")
    console.print(title, style="bold", markup=False)
    lines = [("Lists", f"{pair['lists']:,}, {pair['with_feedback']:,} of them with a {event}")]
    if (rate := pair.get("win_rate")) is not None:
        lines += _win_rate_lines(rate, pair.get("offline"), pair.get("offline_was"), confidence)
    for name, text in lines:
        console.print(f"  {name:13}{text}", markup=False)
    if not pair["counterfactual"]:
        return
    table = Table(
        "Lists of", "estimate", f"{event}s per list", formats.level(confidence), "lists", "effective", box=None
    )
    labels = {"champion": "the champion" if challenger else "the model", "challenger": "the challenger"}
    for side, figures in pair["counterfactual"].items():
        write = formats.signed if side == "difference" else formats.decimal
        for key, label in ESTIMATES.items():
            interval = " to ".join(write(figures[f"{key}_{end}"]) for end in ("low", "high"))
            size = formats.decimal(figures["effective"], 0) if "effective" in figures else ""
            table.add_row(labels.get(side, side), label, write(figures[key]), interval, f"{figures['lists']:,}", size)
    console.print(table)


def _win_rate_lines(
    rate: Mapping[str, Any], before: Mapping[str, Any] | None, was: str | None, confidence: float
) -> list[tuple[str, str]]:
    """Interleaving, and the offline comparison beside it."""
    if not rate["decided"]:
        return [("Interleaving", "no list is decided yet: none has feedback on an item that one model alone placed")]
    share, low, high = (formats.percent(value) for value in (rate["wins"] / rate["decided"], rate["low"], rate["high"]))
    findings = {
        "better": "The challenger is better.",
        "worse": "The challenger is worse: stop showing its lists.",
        UNDECIDED: "Not decided: the interval holds 50 %. Looking again later costs nothing.",
    }
    lines = [
        ("Interleaving", f"the challenger wins {rate['wins']:,} of {rate['decided']:,} decided lists, {share}"),
        ("", f"{formats.level(confidence)} interval, valid at every look: {low} to {high}; {rate['people']:,} people"),
        ("", findings[rate["finding"]]),
    ]
    if before is None:
        return [*lines, ("Offline", "no comparison of these two models: `bakeoff decide` makes one")]
    ends = [formats.signed(end) for end in before["interval"] or ()]
    interval = f" ({' to '.join(ends)})" if ends else ", no interval"
    label, difference = formats.metric_label(before["metric"]), formats.signed(before["difference"])
    words = {"right": "it predicted the direction", "wrong": "it predicted the opposite"}.get(
        str(was), "one of the two is not decided, so that it can't be judged"
    )
    return [*lines, ("Offline", f"{label} {difference}{interval}, {before['source']}: {before['finding']}; {words}")]
