"""`bakeoff doctor`: run all checks side by side, and print what they found."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from subprocess import TimeoutExpired

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakeoff.core.errors import BakeoffError, visible
from bakeoff.ops.doctor.checks import CHECKS, Finding, Subject, problem, warning

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "not applicable": "dim"}


def run(subject: Subject, *, as_json: bool) -> bool:
    """Print every finding, as a table or as a JSON array; whether there is no problem."""
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        findings = list(pool.map(partial(examine, subject), CHECKS))
    rows = [
        {"check": check.__name__.replace("_", " "), **asdict(found)}
        for check, found in zip(CHECKS, findings, strict=True)
    ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    table = Table.grid(padding=(0, 2))
    for row in rows:
        name, state, found, fix = map(visible, row.values())
        text = Text(found).append(f"\n→ {fix}" if fix else "", style="bold")
        table.add_row(Text(state, style=STYLES[state]), name, text)
    if not as_json:
        Console(highlight=False).print(table)
    return all(found.state != "problem" for found in findings)


def examine(subject: Subject, check: Callable[[Subject], Finding]) -> Finding:
    """The finding of one check, however it ends: what breaks one says nothing about the others."""
    try:
        return check(subject)
    except BakeoffError as error:
        found, _, fix = " ".join(str(error).split()).partition(": ")  # the cause, and then what to do
        return problem(found, fix)
    except TimeoutExpired as error:
        return warning(f"took longer than {error.timeout:g} s", f"see what holds it up: {' '.join(error.cmd)}")
    except Exception as error:  # noqa: BLE001 - whatever the environment does to a check, it is a finding
        said = (str(error).splitlines() or ["no reason given"])[0]
        return problem(f"{type(error).__name__}: {said}", "make .venv/.ready; or install bakeoff again")
