"""`bakeoff verdict`: the last comparison in a few lines, and where the report lies."""

import json

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.report import verdict
from bakeoff.report.models import CONTENDERS


def run(workspace: Workspace) -> None:
    """Print the verdict, its figures, what training cost, and the path of the report.

    Raises:
        BakeoffError: there is no comparison yet, or it was written by another version.
    """
    result, standings, spans = _read(workspace)
    notes = [
        *verdict.caveats(result),
        *verdict.humbled(result, standings),
        *verdict.contradictions(result, spans),
    ]
    cost = verdict.cost_sentence(_seconds(workspace))
    console = Console(highlight=False)
    console.print()
    console.print(Text(f"{verdict.headline(result)}.", style="bold"))
    for line in [verdict.statement(result), *([cost] if cost else []), *(f"Note: {note}" for note in notes)]:
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    console.print(Text(f"Report: {workspace.reports / 'index.html'}"), soft_wrap=True)


def _read(workspace: Workspace) -> tuple[verdict.Result, list[verdict.Standing], list[verdict.Span]]:
    path = workspace.reports / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        result = verdict.Result.from_metrics(metrics["verdict"])
        spans = [verdict.Span(name, **figures) for name, figures in metrics.get("time_since_last_event", {}).items()]
        standings = [
            verdict.Standing(model, baseline, **figures)
            for baseline, rows in metrics.get("best_baseline", {}).items()
            for model, figures in rows.items()
        ]
        return result, standings, spans
    except FileNotFoundError:
        raise BakeoffError(f"{path} does not exist: nothing was compared yet. Run `make run`.") from None
    except (ValueError, KeyError, TypeError):
        raise BakeoffError(f"{path} holds no verdict that this version can read. Run `make run`.") from None


def _seconds(workspace: Workspace) -> dict[str, float]:
    """Wall seconds of training by contender, where they were measured."""
    paths = {name: workspace.cost(f"train_{name}") for name in CONTENDERS}
    costs = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}
    return {name: float(cost["wall_seconds"]) for name, cost in costs.items()}
