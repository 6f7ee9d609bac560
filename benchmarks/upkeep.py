"""Looking after a workspace: the planted faults that `bakeoff doctor` finds, and what `bakeoff forget` takes.

    python benchmarks/upkeep.py --write benchmarks/results/upkeep.json

`bakeoff doctor` runs as a command in a sound workspace and, for each of FAULTS, in a copy with that fault. A fault is
found if its check warns of it or reports a problem, and no other check but those that depend on it ends otherwise than
in the sound workspace. `bakeoff forget` runs as a command in a workspace with a million made events, several committed
versions of data/ and a log of `bakeoff serve`. After it, the person's id is looked for in every row of data/, and their
pseudonym in the log.
"""

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from harness.datasets import ROOT
from harness.pages import Page, show
from rich.console import Console
from scaling.data import Size, write_tables

from bakeoff.core.subprocesses import environment
from bakeoff.core.workspace import Workspace
from bakeoff.ops.forget import TABLES
from bakeoff.ops.online.log import LogWriter, Pseudonyms, parts

SIZE = Size(1_000_000, 30_000, 10_000)
LISTS, WHOSE = 100_000, 2_000
"""Lists in the log, and users that they were made for in turn."""
VERSIONS = 5
"""Commits with a data/ of their own."""
ROUNDS = 5
"""Runs of `bakeoff doctor` in the sound workspace."""
console = Console(stderr=True, highlight=False)

Plant = Callable[[Path], object]
"""Breaks something in a workspace."""


def _append(name: str, text: str) -> Plant:
    def plant(root: Path) -> None:
        with (root / name).open("a", encoding="utf-8") as file:
            file.write(text)

    return plant


def _remove(name: str) -> Plant:
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


def _remote(url: str) -> Plant:
    return lambda root: run(root, "dvc", "remote", "add", "--default", "--force", "backup", url)


def _from_the_future(root: Path) -> None:
    later = time.time() + 86_400
    os.utime(root / "params.yaml", (later, later))


def nothing(root: Path) -> None:
    """Leave the files as they are."""


AT_WORK = "another run is at work"
FAULTS: Mapping[str, tuple[str, Plant, Mapping[str, str]]] = {
    "TensorFlow is told to use Keras 3": ("keras", nothing, {"TF_USE_LEGACY_KERAS": "0"}),
    "params.yaml can't be parsed": ("parameters", _append("params.yaml", "seed: [\n"), {}),
    "params.yaml has a setting that there is not": ("parameters", _append("params.yaml", "sead: 7\n"), {}),
    "Git knows nobody to commit as": ("git", lambda root: run(root, "git", "config", "--unset", "user.email"), {}),
    "the directory is no repository": ("git", _remove(".git"), {}),
    "dvc.yaml was deleted": ("dvc", _remove("dvc.yaml"), {}),
    "no stage has run": ("dvc", _remove("dvc.lock"), {}),
    "a row of data/ was added by hand": ("data", _append("data/interactions.csv", "u0000001,i1,1,5\n"), {}),
    "data/ was deleted": ("data", _remove("data"), {}),
    "data.dvc was deleted": ("data", _remove("data.dvc"), {}),
    "the remote is empty": ("dvc remote", _remote("../empty"), {}),
    "the remote does not answer": ("dvc remote", _remote("ssh://nobody@127.0.0.1:1/x"), {}),
    "no remote is set": ("dvc remote", lambda root: run(root, "dvc", "remote", "remove", "backup"), {}),
    AT_WORK: ("locks", nothing, {}),
    "Prefect's server does not answer": ("prefect", nothing, {"PREFECT_API_URL": "http://127.0.0.1:1/api"}),
    "Spark is asked for, and there is no Java": ("java", nothing, {"BAKEOFF_ENGINE": "spark", "JAVA_HOME": "/nowhere"}),
    "params.yaml is of tomorrow": ("clock", _from_the_future, {}),
}
"""What is wrong → the check that should say so, what plants it in a workspace, and variables that do."""
FOLLOW = {
    "params.yaml can't be parsed": {"dvc remote"},  # DVC reads it, too
    "the directory is no repository": {"data", "dvc remote"},
    "data.dvc was deleted": {"dvc remote"},
}
"""Checks that may end otherwise as well, since they need what is broken."""


def run(root: Path, *command: str) -> str:
    """What a command of Git, DVC or Bakeoff prints there.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, env=environment(root))
    return done.stdout


def sound(root: Path, size: Size = SIZE, versions: int = VERSIONS) -> None:
    """A workspace with Git and DVC, so many commits each with a data/ of its own, and a remote that has the last."""
    (root / "data").mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", root)
    (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    (root / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    run(root, "git", "init", "--quiet")
    for name in ("user.name", "user.email"):
        run(root, "git", "config", name, "nobody")
    run(root, "dvc", "init", "--quiet")
    run(root, "dvc", "remote", "add", "--default", "backup", "../remote")
    write_tables(root / "data", size, seed=42)
    path = root / "data/interactions.csv"
    events = pd.read_csv(path, dtype=str)
    for number in range(versions, 0, -1):
        events.iloc[number - 1 :].to_csv(path, index=False)
        run(root, "dvc", "add", "--quiet", "data")
        run(root, "git", "add", "--all")
        run(root, "git", "commit", "--quiet", "--message", "another delivery")
    run(root, "dvc", "push", "--quiet")
    Workspace(root).run_lock.touch()


def doctor(root: Path, variables: Mapping[str, str], *, locked: bool = False) -> tuple[dict[str, str], float]:
    """State of each check by the command, and its seconds; `locked`: while a run is at work."""
    alone = dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"), os.devnull)
    alone["GIT_CEILING_DIRECTORIES"] = str(root.parent)
    command, start = [sys.executable, "-m", "bakeoff", "doctor", "--json"], time.perf_counter()
    with Workspace(root).run_lock.open("a") as lock:
        if locked:
            fcntl.flock(lock, fcntl.LOCK_EX)
        settings = environment(root) | alone | {**variables}
        done = subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True, check=False)
    return {each["check"]: each["state"] for each in json.loads(done.stdout)}, time.perf_counter() - start


def faults(root: Path) -> dict[str, Any]:
    """What the command finds of each fault, each in a copy of this workspace."""
    runs = [doctor(root, {}) for _ in range(ROUNDS)]
    states, found = runs[0][0], []
    for number, (fault, (check, plant, variables)) in enumerate(FAULTS.items()):
        copy = root.parent / f"copy{number}"
        shutil.copytree(root, copy, symlinks=True)
        plant(copy)
        after, _ = doctor(copy, variables, locked=fault == AT_WORK)
        changed = sorted(name for name, state in after.items() if state != states[name])
        found.append({"fault": fault, "check": check, "state": after[check], "changed": changed})
        console.print(found[-1], markup=False)
        shutil.rmtree(copy)
    return {"states": states, "seconds": [seconds for _, seconds in runs], "faults": found}


def is_found(row: Mapping[str, Any]) -> bool:
    """Whether a fault is named by its check, and by no other that does not depend on it."""
    is_named = row["state"] in ("warning", "problem") and row["check"] in row["changed"]
    return is_named and set(row["changed"]) <= {row["check"], *FOLLOW.get(row["fault"], ())}


def write_log(folder: Path, users: list[str]) -> None:
    """A log with LISTS lists of ten items each, made for these users in turn, and a click on every second one."""
    log, items = LogWriter(folder, days=10_000, seconds=600), [f"i{number:07d}" for number in range(10)]
    flags, now = [True] * len(items), datetime.now(UTC)
    for number in range(LISTS):
        identity, user = log.pseudonyms.new_impression(), log.pseudonyms.user(users[number % len(users)])
        row = {"id": identity, "time": now, "user": user, "champion": "mf@v1.0.0", "challenger": None, "items": items}
        row |= {"scores": [1.0] * len(items), "propensities": [1.0] * len(items), "teams": [1] * len(items)}
        log.add("impressions", row | {"as_champion": flags, "as_challenger": flags, "explore": 0.0})
        if number % 2:
            log.add("feedback", {"impression": identity, "item_id": items[0], "event": "click", "time": now})
    log.close()


def forgotten(root: Path) -> dict[str, Any]:
    """Seconds of the command, what it removed, and what is left of the person."""
    events, log = root / "data/interactions.csv", root / ".bakeoff/online"
    before = ids_in(root)
    user = before["interactions"][len(before["interactions"]) // 2]
    start = time.perf_counter()
    write_log(log, [user, *before["users"][:WHOSE]])
    console.print(f"the log is written in {time.perf_counter() - start:.0f} s")
    theirs, lists = Pseudonyms.of(log).user(user), logged(log)
    start = time.perf_counter()
    said = run(root, sys.executable, "-m", "bakeoff", "forget", user, "--log", str(log))
    seconds = time.perf_counter() - start
    after, left = ids_in(root), logged(log)
    holding = said.partition("Versions that hold user")[2].partition("Versions that can't be read")[0]
    commits = run(root, "git", "log", "--format=%h").split()
    return {
        "seconds": seconds,
        "events": len(before["interactions"]),
        "of_theirs": before["interactions"].count(user),
        "lists": len(lists),
        "of_their_lists": lists.count(theirs),
        "others": {name: len(ids) - ids.count(user) for name, ids in before.items()}
        | {"log": len(lists) - lists.count(theirs)},
        "left": {name: len(ids) for name, ids in after.items()} | {"log": len(left)},
        "found_afterwards": sum(ids.count(user) for ids in after.values()) + left.count(theirs),
        "versions": len(commits),
        "versions_named": sum(commit in holding for commit in commits),
        "bytes": events.stat().st_size,
    }


def ids_in(root: Path) -> dict[str, list[str]]:
    """Ids of users in the tables of data/ that have such, one for each row."""
    return {name: pd.read_csv(root / f"data/{name}.csv", dtype=str)["user_id"].tolist() for name in TABLES}


def logged(log: Path) -> list[str]:
    """Pseudonyms of the lists in a log, one for each list."""
    return [user for path in parts(log, "impressions") for user in pq.read_table(path)["user"].to_pylist()]


def markdown(page: Page) -> str:
    """The page, made from its figures."""
    checks, forget = page["doctor"], page["forget"]
    found, states = sum(map(is_found, checks["faults"])), list(checks["states"].values())
    quiet = sum(state in ("ok", "not applicable") for state in states)
    are_kept = forget["others"] == forget["left"]
    rows = [
        f"| {row['fault']} | {row['check']} | {row['state'] if is_found(row) else '**not found**'} | "
        f"{', '.join(name for name in row['changed'] if name != row['check']) or '–'} |"
        for row in checks["faults"]
    ]
    paragraphs = [
        "# Looking after a workspace",
        f"Made by `python benchmarks/upkeep.py`, on {page['cores']} cores, in a workspace of synthetic data: "
        f"{forget['events']:,} events, {forget['bytes'] / 1e6:.0f} MB, in {forget['versions']} committed versions.",
        "## `bakeoff doctor`: planted faults",
        f"{found} of {len(rows)} faults are named by the check that should name them, and change no check that has "
        f"nothing to do with them. In the sound workspace {quiet} of {len(states)} checks find nothing wrong. "
        f"A run takes {median(checks['seconds']):.1f} s (median of {len(checks['seconds'])}). Not planted: too "
        "little memory or disk, and other versions of Python and of packages.",
        "\n".join(
            ["| fault | check | its state | other checks that need what is broken |", "|---|---|---|---|", *rows]
        ),
        "## `bakeoff forget`: one person",
        f"The command took {forget['seconds']:.1f} s. It removed {forget['of_theirs']:,} of {forget['events']:,} "
        f"events and {forget['of_their_lists']:,} of {forget['lists']:,} lists in the log, and named "
        f"{forget['versions_named']} of {forget['versions']} versions that still hold the person. Afterwards their id "
        f"and their pseudonym were found {forget['found_afterwards']} times in data/ and in the log. "
        f"{'Nothing of others was lost.' if are_kept else '**Rows of others were lost.**'}",
    ]
    return "\n\n".join(paragraphs) + "\n"


def main() -> None:
    """Measure, and print or keep the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE.json", help="keep the figures there, the page beside them")
    path = parser.parse_args().write
    with TemporaryDirectory() as scratch:
        root = Path(scratch) / "workspace"
        sound(root)
        page = {"cores": os.cpu_count(), "doctor": faults(root), "forget": forgotten(root)}
    show(page, markdown, path)


if __name__ == "__main__":
    main()
