"""`bakeoff verdict`: the last comparison in a few lines, and the path of the report."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.report import verdict
from bakeoff.report.input_files import read_json, read_optional_json
from bakeoff.report.models import CONTENDERS
from bakeoff.report.verdict import Result, Span
from bakeoff.report.vs_baseline import BaselineComparison


def print_verdict(workspace: Workspace) -> None:
    """Print the verdict, its figures, what training cost, and the path of the report.

    Raises:
        BakeoffError: there is no comparison yet, or another version wrote it.
    """
    result, standings, spans = _last_comparison(workspace)
    costs = {name: read_optional_json(workspace.cost(f"train/{name}")) for name in CONTENDERS}
    cost = verdict.cost_sentence({name: float(found.get("wall_seconds") or 0.0) for name, found in costs.items()})
    notes = [f"Note: {note}" for note in verdict.all_caveats(result, standings, spans)]
    console = Console(highlight=False)
    console.print()
    console.print(Text(f"{verdict.verdict_headline(result)}.", style="bold"))
    for line in [verdict.verdict_statement(result), *([cost] if cost else []), *notes]:
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    console.print(Text(f"Report: {workspace.reports / 'index.html'}"), soft_wrap=True)


def _last_comparison(workspace: Workspace) -> tuple[Result, list[BaselineComparison], list[Span]]:
    path = workspace.reports / "metrics.json"
    metrics = read_json(path, "nothing was compared yet. Run `make run`", "make run")
    try:
        spans = [Span(name, **figures) for name, figures in metrics.get("time_since_last_event", {}).items()]
        standings = [
            BaselineComparison(model, baseline, **figures)
            for baseline, rows in metrics.get("best_baseline", {}).items()
            for model, figures in rows.items()
        ]
        return Result.from_metrics(metrics["verdict"]), standings, spans
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BakeoffError(f"{path} holds no verdict that this version can read. Run `make run`.") from None
