"""Results as JSON, which holds every figure of a page, and the page that is made from it."""

import os
from collections.abc import Callable, Mapping, Sequence
from statistics import stdev
from typing import Any

from bakeoff.report.params import flat
from harness.code import today
from harness.datasets import Benchmark
from harness.measuring import Measured
from harness.score import over_seeds_too, with_intervals
from harness.systems import OURS, System

NAMES = {
    "ndcg@10": "NDCG@10",
    "ndcg@20": "NDCG@20",
    "recall@20": "Capped recall@20",
    "recall_of_all@20": "Recall@20 ÷ \\|T_u\\|",
    "hit_rate@10": "Hit rate@10",
}
KEPT = ", and a C library that keeps freed memory for the next array."
NOT_KEPT = (
    ". Only this project's networks had a C library that keeps freed memory for the next array: other networks' times "
    "are too long (without it, PyTorch's take about twice the time on MovieLens 1M)."
)
"""Of figures that are older than the equal setting."""
ABOUT_TUNING = (
    "Tuning of a peer is that of the grid that it was chosen from, epochs included. Of this project's contenders it "
    "is the last search, which began with the setting that earlier ones had found; each fit's search for its number of "
    "epochs comes on top."
)
ABOUT_TIMES = (
    "Lists of systems that read the time of the query are made at the last known moment of all: none is told when a "
    "user comes back."
)
COSTS = ("fit_seconds", "cpu_seconds", "peak_memory_bytes")
Page = Mapping[str, Any]
"""Content of a JSON file of results."""


def results_of(
    benchmark: Benchmark,
    facts: Mapping[str, Any],
    results: Sequence[Measured],
    command: str,
    threads: int,
    seed: int,
    resamples: int,
    effort: Callable[[System], float | None] = lambda _: None,
    edges: Callable[[System], Sequence[str]] = lambda _: (),
) -> dict[str, Any]:
    """All that a page shows, as JSON values.

    Args:
        benchmark: the data set.
        facts: of the split.
        results: of the systems.
        command: that made them.
        threads: of every system.
        seed: the first of each system, and that of the intervals.
        resamples: of the bootstrap.
        effort: seconds of tuning of a system; None if they are not recorded.
        edges: settings of a system that were chosen at an edge of what was tried.
    """
    metric, succeeded = benchmark.metrics[0], [measured for measured in results if measured.succeeded]
    references = [measured for measured in succeeded if measured.system.name in OURS]
    pairs = {
        f"{mine.system.name} {other.system.name}": (mine, other)
        for mine in references
        for other in succeeded
        if other is not mine
    }
    columns = {name: mine.scores[metric] - other.scores[metric] for name, (mine, other) in pairs.items()}
    ends = with_intervals(columns, seed, resamples)
    return {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "split": benchmark.split,
        "facts": dict(facts),
        "command": command,
        "code": today(measured.system.module for measured in succeeded),
        "machine": {"cores": os.cpu_count(), "memory": _memory(), "threads": threads, "keeps_memory": True},
        "metrics": list(benchmark.metrics),
        "systems": [_system(measured, benchmark, facts, seed, resamples, effort, edges) for measured in results],
        "differences": [
            {
                "of": mine.system.name,
                "against": other.system.name,
                "difference": list(over_seeds_too(ends[name], _seeds(mine, metric), _seeds(other, metric))),
            }
            for name, (mine, other) in pairs.items()
        ],
    }


def _seeds(measured: Measured, metric: str) -> Sequence[float]:
    return measured.seeds.get(metric, ())


def _reads(measured: Measured, benchmark: Benchmark, facts: Mapping[str, Any]) -> str:
    """What a system reads, under its settings, of what this data has."""
    has_features = benchmark.params.get("data", {}).get("item_features", True)
    absent = [*([] if facts["days"] else ["order"]), *([] if has_features else ["features", "words"])]
    parts = [part for part in measured.system.information.split(", ") if not part.startswith(tuple(absent))]
    if measured.setting.get("use_query_time"):
        parts.append("time of the query")
    return ", ".join(parts)


def _system(
    measured: Measured,
    benchmark: Benchmark,
    facts: Mapping[str, Any],
    seed: int,
    resamples: int,
    effort: Callable[[System], float | None],
    edges: Callable[[System], Sequence[str]],
) -> dict[str, Any]:
    system = measured.system
    over_users = with_intervals(
        {name: measured.scores[name] for name in benchmark.metrics if measured.scores}, seed, resamples
    )
    ends = {name: over_seeds_too(found, _seeds(measured, name)) for name, found in over_users.items()}
    return {
        "name": system.name,
        "title": system.title,
        "ours": system.ours,
        "information": _reads(measured, benchmark, facts),
        "tuned": system.tuned,
        "tuning_seconds": effort(system),
        "at_edge": list(edges(system)),
        "figures": {name: {"mean": m, "low": low, "high": high} for name, (m, low, high) in ends.items()},
        "seeds": {name: list(values) for name, values in measured.seeds.items() if name in benchmark.metrics},
        "cost": {name: value for name, value in measured.cost.items() if isinstance(value, int | float)},
        "setting": dict(measured.setting),
        "note": measured.note,
    }


def markdown(page: Page, code: Mapping[str, str] | None = None) -> str:
    """The page of one data set; `code` has the hashes of today's code, by default those of the results."""
    parts = [
        f"# {page['title']}: this project compared with its peers",
        _stale([whose for whose, found in page["code"].items() if code and code[whose] != found]),
        _introduction(page),
        _quality(page),
        _cost(page),
        _differences(page),
        _settings(page),
        _missing(page),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


STALE = "**Older than the code:** the source of {} has changed since these figures were measured."
WHOSE = {"ours": "this project's systems", "peers": "the peers"}


def _stale(whose: Sequence[str]) -> str:
    return STALE.format(" and ".join(WHOSE[each] for each in whose)) if whose else ""


def _introduction(page: Page) -> str:
    facts, machine = page["facts"], page["machine"]
    tested = f" of {facts['tested']:,} users" if "tested" in facts else ""
    when = f"events from {facts['days'][0]} to {facts['days'][1]}" if facts["days"] else "events without times"
    return "\n".join(
        [
            f"Made by `{page['command']}`. Data: {page['title'].split(',')[0]}, {when}: {facts['users']:,} users, "
            f"{facts['items']:,} items; {facts['train']:,} train, {facts['valid']:,} validation and {facts['test']:,} "
            f"test events{tested}. Split: {page['split']}.",
            "",
            f"Machine: {machine['cores']} cores, {machine['memory']} of memory; {machine['threads']} threads for every "
            f"system{KEPT if machine.get('keeps_memory') else NOT_KEPT} One process for each, one after the other. "
            "Settings were chosen on validation; each system was then fitted on train and validation together and "
            "looked at test once per seed. Epochs of peers were chosen with one seed, those of this project's "
            "contenders anew with each. Every list ranks the whole catalogue without what the user has had, and equal "
            "scores count against the system. Figures are means over seeds and users. Brackets: 95 % intervals over "
            "users and seeds, over users alone where there is one seed; ±: standard deviation over seeds.",
        ]
    )


def _quality(page: Page) -> str:
    metrics = page["metrics"]
    lines = [_row("system", "reads", "tuning, s", "seeds", *(NAMES[metric] for metric in metrics))]
    lines.append(_rule(4 + len(metrics)))
    for system in _succeeded(page):
        seconds, seeds = system["tuning_seconds"], len(system["seeds"].get(metrics[0], ())) or 1
        figures = (_figure(system, metric) for metric in metrics)
        effort = f"{seconds:.0f}" if seconds is not None else "not recorded" if system["tuned"] else "–"
        lines.append(_row(_name(system), system["information"], effort, str(seeds), *figures))
    about = ABOUT_TUNING
    if any(system["setting"].get("use_query_time") for system in _succeeded(page)):
        about += f" {ABOUT_TIMES}"
    return "## Quality on test\n\n" + "\n".join([*lines, "", about])


def _figure(system: Mapping[str, Any], metric: str) -> str:
    found, seeds = system["figures"][metric], system["seeds"].get(metric, ())
    spread = f" ± {stdev(seeds):.4f}" if len(seeds) > 1 else ""
    return f"{found['mean']:.4f} [{found['low']:.4f}, {found['high']:.4f}]{spread}"


def _cost(page: Page) -> str:
    references = [system for system in _succeeded(page) if system["name"] in OURS]
    ratios = [f"{what} ÷ {system['name']}'s" for system in references for what in ("time", "CPU", "memory")]
    lines = [_row("system", "fit, s", "CPU, s", "peak memory, MiB", "of it before the fit", *ratios)]
    lines.append(_rule(5 + len(ratios)))
    for system in _succeeded(page):
        cost = system["cost"]
        cells = [f"{cost['fit_seconds']:.2f}", f"{cost['cpu_seconds']:.2f}"]
        cells += [f"{cost[key] / 2**20:,.0f}" for key in ("peak_memory_bytes", "memory_before_bytes")]
        cells += [_ratio(cost[key], reference["cost"][key]) for reference in references for key in COSTS]
        lines.append(_row(_name(system), *cells))
    about = (
        "Fit time is that of the last fit, on train and validation, with the number of epochs that validation chose; "
        "reading data, importing libraries, choosing and making lists are not in it. Memory is the most that the "
        "process held by the end of the fit, libraries included; the next column says how much of it was there before. "
        "Medians over seeds."
    )
    return f"## Cost\n\n{about}\n\n" + "\n".join(lines)


def _differences(page: Page) -> str:
    systems = {system["name"]: system for system in _succeeded(page)}
    found = {(each["of"], each["against"]): each["difference"] for each in page["differences"]}
    references, metric = [name for name in OURS if name in systems], page["metrics"][0]
    others = [name for name in systems if any(other == name for _, other in found)]
    if not found:
        return ""
    titles = [systems[name]["title"] for name in references]
    lines = [_row("against", *titles, *(f"ratio of {name}" for name in references)), _rule(1 + 2 * len(references))]
    for name in others:
        ends = [found.get((mine, name)) for mine in references]
        shown = [f"{e[0]:+.4f} [{e[1]:+.4f}, {e[2]:+.4f}]" if e else "–" for e in ends]
        mean = systems[name]["figures"][metric]["mean"]
        ratios = [
            "–" if mine == name else _ratio(systems[mine]["figures"][metric]["mean"], mean) for mine in references
        ]
        lines.append(_row(_name(systems[name]), *shown, *ratios))
    return f"## {NAMES[metric]}: ours minus theirs, on the same users\n\n" + "\n".join(lines)


def _settings(page: Page) -> str:
    lines = [_row("system", "settings"), _rule(2)]
    for system in _succeeded(page):
        if system["setting"]:
            shown = ", ".join(f"{key} {value}" for key, value in flat(system["setting"]).items())
            if system.get("at_edge"):
                shown += f"; at the edge of what was tried: {', '.join(system['at_edge'])}"
            lines.append(_row(_name(system), shown))
    return "## Settings, chosen on validation\n\n" + "\n".join(lines) if len(lines) > 2 else ""


def _missing(page: Page) -> str:
    lines = [f"- {_name(system)}: {system['note']}." for system in page["systems"] if not system["figures"]]
    return "## Without a result\n\n" + "\n".join(lines) if lines else ""


def _succeeded(page: Page) -> list[Mapping[str, Any]]:
    return [system for system in page["systems"] if system["figures"]]


def _name(system: Mapping[str, Any]) -> str:
    return f"**{system['title']}**" if system["ours"] else str(system["title"])


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
