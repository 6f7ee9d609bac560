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
from bakeoff.ops.doctor import checks, machine
from bakeoff.ops.doctor.checks import Finding, Subject, problem, warning

Check = Callable[[Subject], Finding]
OF_PACKAGES: tuple[Check, ...] = (checks.python, checks.packages, checks.keras, checks.code)
OF_WORKSPACE: tuple[Check, ...] = (
    checks.parameters,
    checks.git,
    checks.dvc,
    checks.data,
    checks.dvc_remote,
    checks.locks,
)
CHECKS = (*OF_PACKAGES, *OF_WORKSPACE, checks.prefect, checks.java, machine.disk, machine.memory, machine.clock)
"""In the order in which they are printed."""

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "not applicable": "dim"}


def run(subject: Subject, *, as_json: bool) -> bool:
    """Print every finding, as a table or as a JSON array; whether there is no problem."""
    names = [check.__name__.replace("_", " ") for check in CHECKS]
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        findings = list(pool.map(partial(examine, subject), CHECKS))
    pairs = list(zip(names, findings, strict=True))
    if as_json:
        print(json.dumps([{"check": name, **asdict(found)} for name, found in pairs], indent=2, ensure_ascii=False))
    else:
        table = Table.grid(padding=(0, 2))
        for name, found in pairs:
            fix = f"\n→ {visible(found.fix)}" if found.fix else ""
            text = Text(visible(found.found)).append(fix, style="bold")
            table.add_row(Text(found.state, style=STYLES[found.state]), name, text)
        Console(highlight=False).print(table)
    return all(found.state != "problem" for found in findings)


def examine(subject: Subject, check: Check) -> Finding:
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
