"""`bakeoff verdict` and `bakeoff explain`: the last comparison in a few lines, and one of its checks."""

from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bakeoff.core.errors import BakeoffError, reading, visible
from bakeoff.core.workspace import Workspace
from bakeoff.report.checks import WORDS, Check, State
from bakeoff.report.models import CONTENDERS
from bakeoff.report.report_inputs import read_json, read_optional_json
from bakeoff.report.training import training_cpu_seconds
from bakeoff.report.verdict import cost_sentence

FILE = "verdict.json"
"""What `compare` leaves in reports for these commands."""


def print_verdict(workspace: Workspace) -> None:
    """Print the verdict, its figures, what training cost, the checks that did not pass, and the path of the report.

    Raises:
        BakeoffError: there is no comparison yet, or another version wrote it.
    """
    headline, statement, checks = _last_verdict(workspace.reports / FILE)
    costs = {name: read_optional_json(workspace.cost(f"train/{name}")) for name in CONTENDERS}
    cost = cost_sentence({name: training_cpu_seconds(found) for name, found in costs.items()})
    console = Console(highlight=False)
    console.print()
    console.print(Text(f"{headline}.", style="bold"))
    passed = [check.number for check in checks if check.state == State.PASSED]
    lines = [statement, *([cost] if cost else [])]
    lines += [f"{c.number} {c.state}. {c.title}: {c.figure} {c.fix}" for c in checks if c.number not in passed]
    if passed:
        lines.append(f"Passed: {', '.join(passed)}. `bakeoff explain {checks[0].number}` says what a check means.")
    for line in lines:
        console.print(Padding(Text(visible(line)), (0, 0, 0, 2)))
    console.print(Text(f"Report: {workspace.reports / 'index.html'}"), soft_wrap=True)


def print_check(workspace: Workspace, number: str) -> None:
    """Print what a check means, its state in the last comparison, and what clears it.

    Raises:
        BakeoffError: there is no such check, or another version wrote the last verdict.
    """
    if (words := WORDS.get(number.upper())) is None:
        raise BakeoffError(f"{number!r} is no check of the verdict: there are {', '.join(WORDS)}.")
    path, number = workspace.reports / FILE, number.upper()
    here = [check for check in _last_verdict(path)[2] if check.number == number] if path.exists() else []
    console = Console(highlight=False)
    console.print(Text(f"{number}: {words['title']}", style="bold"))
    kind = "Decisive: while it fails, there is no verdict." if "reason" in words else "It can qualify the verdict."
    state = f"Here: {here[0].state}. {here[0].figure}" if here else "Here: not judged yet. Run `bakeoff run`."
    for line in (f"{words['meaning']} {kind}", state, *(check.fix for check in here if check.state != State.PASSED)):
        console.print(Padding(Text(visible(line)), (1, 0, 0, 2)))


def _last_verdict(path: Path) -> tuple[str, str, list[Check]]:
    """Headline, figures and checks of the last comparison."""
    found = read_json(path, "nothing was compared yet. Run `bakeoff run`", "bakeoff run")
    with reading(path, "another version wrote it, run `bakeoff run`", KeyError, TypeError):
        return found["headline"], found["statement"], [Check(**each) for each in found["checks"]]
