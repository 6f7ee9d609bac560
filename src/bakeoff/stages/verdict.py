"""`bakeoff verdict`: the last comparison in a few lines, and where the report lies."""

import json

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bakeoff.errors import BakeoffError
from bakeoff.report import verdict
from bakeoff.workspace import MODELS, Workspace


def run(workspace: Workspace) -> None:
    """Print the verdict, its figures, what training cost, and the path of the report.

    Raises:
        BakeoffError: there is no comparison yet, or it was written by another version.
    """
    result = _read_result(workspace)
    console = Console(highlight=False)
    lines = [verdict.statement(result), *verdict.caveats(result)]
    cost = verdict.cost_sentence(_seconds(workspace))
    console.print()
    console.print(Text(f"{verdict.headline(result)}.", style="bold"))
    for line in [*lines, *([cost] if cost else [])]:
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    console.print(Text(f"Report: {workspace.reports / 'index.html'}"), soft_wrap=True)


def _read_result(workspace: Workspace) -> verdict.Result:
    path = workspace.reports / "metrics.json"
    try:
        return verdict.Result.from_metrics(json.loads(path.read_text(encoding="utf-8"))["verdict"])
    except FileNotFoundError:
        raise BakeoffError(f"{path} does not exist: nothing was compared yet. Run `make run`.") from None
    except (ValueError, KeyError, TypeError):
        raise BakeoffError(f"{path} holds no verdict that this version can read. Run `make run`.") from None


def _seconds(workspace: Workspace) -> dict[str, float]:
    """Wall seconds of training by model, where they were measured."""
    paths = {name: workspace.cost(f"train_{name}") for name in MODELS}
    costs = {
        name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()
    }
    return {name: float(cost["wall_seconds"]) for name, cost in costs.items()}
