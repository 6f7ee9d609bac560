"""Results as Markdown."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from harness.datasets import Benchmark
from harness.measuring import Measured
from harness.score import with_intervals
from harness.systems import OURS

NAMES = {
    "ndcg@10": "NDCG@10",
    "ndcg@20": "NDCG@20",
    "recall@20": "Recall@20",
    "recall_of_all@20": "Recall@20 ÷ \\|T_u\\|",
}
COSTS = ("fit_seconds", "cpu_seconds", "peak_memory_bytes")


def markdown(
    benchmark: Benchmark,
    facts: Mapping[str, Any],
    results: Sequence[Measured],
    command: str,
    threads: int,
    seed: int,
    resamples: int,
) -> str:
    """The page of one data set."""
    parts = [
        f"# {benchmark.title}: this project beside its peers",
        _introduction(benchmark, facts, command, threads),
        _quality(benchmark, results, seed, resamples),
        _cost(results),
        _differences(benchmark, results, seed, resamples),
        _settings(results),
        _missing(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(benchmark: Benchmark, facts: Mapping[str, Any], command: str, threads: int) -> str:
    when = f"events from {facts['days'][0]} to {facts['days'][1]}" if facts["days"] else "events without times"
    return "\n".join(
        [
            f"Made by `{command}`. Data: {benchmark.title.split(',')[0]}, {when}: {facts['users']:,} users, "
            f"{facts['items']:,} items; {facts['train']:,} train, {facts['valid']:,} validation and {facts['test']:,} "
            "test events. "
            f"Split: {benchmark.split}.",
            "",
            f"Machine: {os.cpu_count()} cores, {_memory()} of memory; {threads} threads for every system. One process "
            "for each, one after the other. Settings were chosen on validation; each system was then fitted on "
            "train and validation together and looked at test once. Every list ranks the whole catalogue less what the "
            "user has had, and equal scores count against the system. Brackets: 95 % bootstrap intervals over users.",
        ]
    )


def _quality(benchmark: Benchmark, results: Sequence[Measured], seed: int, resamples: int) -> str:
    lines = [_row("system", *(NAMES[metric] for metric in benchmark.metrics)), _rule(1 + len(benchmark.metrics))]
    for measured in results:
        if measured.succeeded:
            columns = {metric: measured.scores[metric] for metric in benchmark.metrics}
            ends = with_intervals(columns, seed, resamples).values()
            lines.append(_row(_name(measured), *(f"{m:.4f} [{low:.4f}, {high:.4f}]" for m, low, high in ends)))
    return "## Quality on test\n\n" + "\n".join(lines)


def _cost(results: Sequence[Measured]) -> str:
    references = [m for m in results if m.system.name in OURS and m.succeeded]
    ratios = [f"{what} ÷ {m.system.name}'s" for m in references for what in ("time", "CPU", "memory")]
    lines = [_row("system", "fit, s", "CPU, s", "peak memory, MiB", "of it before the fit", *ratios)]
    lines.append(_rule(5 + len(ratios)))
    for measured in results:
        if measured.succeeded:
            cost = measured.cost
            cells = [f"{cost['fit_seconds']:.2f}", f"{cost['cpu_seconds']:.2f}"]
            cells += [f"{cost[key] / 2**20:,.0f}" for key in ("peak_memory_bytes", "memory_before_bytes")]
            cells += [_ratio(cost[key], reference.cost[key]) for reference in references for key in COSTS]
            lines.append(_row(_name(measured), *cells))
    about = (
        "Fit time is that of the last fit, on train and validation, with the number of epochs that validation chose; "
        "reading data, importing libraries, choosing and making lists are not in it. Memory is the most that the "
        "process held by the end of the fit, libraries included; the next column says how much of it was there before."
    )
    return f"## Cost\n\n{about}\n\n" + "\n".join(lines)


def _differences(benchmark: Benchmark, results: Sequence[Measured], seed: int, resamples: int) -> str:
    metric = benchmark.metrics[0]
    references = [m for m in results if m.system.name in OURS and m.succeeded]
    others = [m for m in results if m.succeeded and m.system.name not in ("popularity",)]
    if not references or len(others) < 2:
        return ""
    columns = {
        f"{mine.system.name} {other.system.name}": mine.scores[metric] - other.scores[metric]
        for other in others
        for mine in references
        if other is not mine
    }
    ends = with_intervals(columns, seed, resamples)
    lines = [
        _row(
            "against",
            *(f"{mine.system.title}" for mine in references),
            *(f"ratio of {m.system.name}" for m in references),
        )
    ]
    lines.append(_rule(1 + 2 * len(references)))
    for other in others:
        cells = [ends.get(f"{mine.system.name} {other.system.name}") for mine in references]
        ratios = [
            "–" if mine is other else _ratio(mine.scores[metric].mean(), other.scores[metric].mean())
            for mine in references
        ]
        shown = [f"{cell[0]:+.4f} [{cell[1]:+.4f}, {cell[2]:+.4f}]" if cell else "–" for cell in cells]
        lines.append(_row(_name(other), *shown, *ratios))
    return f"## {NAMES[metric]}: ours less theirs, on the same users\n\n" + "\n".join(lines)


def _settings(results: Sequence[Measured]) -> str:
    lines = [_row("system", "settings"), _rule(2)]
    for measured in results:
        if measured.succeeded and measured.setting:
            shown = ", ".join(
                f"{key} {value}" for key, value in measured.setting.items() if not isinstance(value, Mapping)
            )
            lines.append(_row(_name(measured), shown))
    return "## Settings, chosen on validation\n\n" + "\n".join(lines) if len(lines) > 2 else ""


def _missing(results: Sequence[Measured]) -> str:
    lines = [f"- {_name(measured)}: {measured.note}." for measured in results if not measured.succeeded]
    return "## Without a result\n\n" + "\n".join(lines) if lines else ""


def _name(measured: Measured) -> str:
    return f"**{measured.system.title}**" if measured.system.ours else measured.system.title


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return "|" + "---|" * columns


def _ratio(value: float, reference: float) -> str:
    return f"{value / reference:.2f}" if reference else "–"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (OSError, ValueError):
        return "unknown size"
