"""`bakeoff forget USER`: take a person out of data/ and the log, and name the versions that still hold them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
from rich.console import Console

from bakeoff.core.errors import BakeoffError, reading, visible
from bakeoff.core.files import write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch import data_directory
from bakeoff.data.fetch.canonical_tables import About, Tables
from bakeoff.data.fetch.versioning import data_state, read_data_hash
from bakeoff.ops.git import ask
from bakeoff.ops.online.log import forget_user, log_folder
from bakeoff.ops.registry.files import drop_parents, dvc_files, removals, text_at

TABLES = ("interactions", "users")
"""That have rows of users."""


def run(user: str, workspace: Workspace, log: Path | None = None) -> None:
    """Remove a user from data/ and the log of `bakeoff serve`, let data.dvc record it, and list what still holds them.

    The next trainings start from no model that was made before (forgotten.json). Nothing is deleted from DVC's cache or
    its remote, and nothing is committed.

    Args:
        user: the id, as data/ has it.
        workspace: where data/ and data.dvc lie.
        log: directory of the log; None: see `log_folder`.

    Raises:
        BakeoffError: data/ is not there or not what data.dvc records, or the log can't be read (data/ is not changed
            then); or neither they nor any version have such a user.
    """
    console = Console(highlight=False, soft_wrap=True, markup=False)
    say = console.print
    folder = log_folder(workspace, log)
    with data_directory.alone(workspace.root, say):
        about, held = _read(workspace)
        lists, feedback = forget_user(folder, user)  # before data/, which then stays as it is if this can't be done
        record = workspace.parents_record
        had_parents = record.exists() and record.read_text(encoding="utf-8").strip() != "{}"
        removed = _remove(user, workspace, about, held)
    # What was done is said before the versions are looked through, which takes long and may be interrupted.
    if removed:
        say(f"Removed user {user} from data/: {removed}. Commit data.dvc and forgotten.json, and run `bakeoff run")
        say("--evidence`: until that has ended, models, reports and other outputs in this workspace hold the person.")
        if had_parents:
            say("The next training fits all models in full: parents.json named weights that learned from the person.")
    if lists:
        say(f"Removed from the log {folder}: {lists:,} lists of user {user} and {feedback:,} events on them.")
    with console.status("Looking through the versions of data/"):
        holding, unread = versions_with(user, workspace.root)
    if not removed and not holding and not lists:
        raise BakeoffError(
            f"Neither data/ nor a version that can be read nor {folder} has a user {user!r}. Ids are case-sensitive."
        )
    if not removed:
        say(f"data/ has no user {user}.")
    if not lists:
        say(f"The log {folder} has no lists of user {user}; --log names another one.")
    for text, found in ((f"Versions that hold user {user}:", holding), ("Versions that can't be read here:", unread)):
        if found:
            say("\n  ".join([text, *found]))
    if holding:
        say("`dvc gc --workspace --cloud` deletes the files of all versions but this one (docs/data.md).")


def versions_with(user: str, root: Path) -> tuple[list[str], list[str]]:
    """Revisions whose data/ has a user, newest first, and those whose data/ can't be had or read.

    Looked at are the commits of all branches that changed data.dvc, and what branches and tags point to, such as the
    versions of models that were promoted.
    """
    holding, unread = list[str](), list[str]()
    by_data = _by_data(root)
    unread += by_data.pop("", {}).values()
    for revisions in by_data.values():
        try:
            with dvc_files(root, next(iter(revisions)), "data", "this version") as files:
                has_user = any(user in ids for table in TABLES for ids in _ids(files, table))
        except (BakeoffError, ValueError):  # pandas': the text is not UTF-8, or not a table with users
            unread += revisions.values()
        else:
            holding += revisions.values() if has_user else ()
    return sorted(holding, reverse=True), sorted(unread, reverse=True)


def _read(workspace: Workspace) -> tuple[About, Tables]:
    """What data/ holds, which is brought back if it is not there."""
    state = data_state(workspace.root)
    if state == "absent":
        state = data_directory.bring_back(workspace)
    if state in ("absent", "changed"):
        cause = "not there" if state == "absent" else "not what data.dvc records"
        raise BakeoffError(
            f"data/ is {cause}: `bakeoff fetch` makes it, `dvc checkout data.dvc` undoes changes, `dvc add data` keeps "
            "them. Then try again."
        )
    with reading("data/dataset.json", "`dvc checkout data.dvc` brings it back", OSError, ValueError):
        about = data_directory.read_about(workspace.data)
    return about, data_directory.read_tables(workspace.data)


def _remove(user: str, workspace: Workspace, about: About, held: Tables) -> str:
    """What was removed, in words; empty if there was nothing."""
    theirs = {name: held[name] for name in TABLES}
    kept = {name: table.filter(pc.not_equal(table["user_id"], user)) for name, table in theirs.items()}
    rows = {name: len(table) - len(kept[name]) for name, table in theirs.items()}
    if not any(rows.values()):
        return ""
    # First, so that an interruption costs a full fit at most: no later training starts from what knew the person.
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(workspace.forgotten, {"removals": sorted({*removals(workspace.root), now})})
    drop_parents(workspace)
    with data_directory.staged(workspace.root) as new:
        data_directory.write({**held, **kept}, about, new)
        data_directory.put_in_place(new, workspace.data)
    return " and ".join(f"{number:,} row{'s' * (number != 1)} of {name}" for name, number in rows.items())


def _by_data(root: Path) -> dict[str, dict[str, str]]:
    """Hash of a data/ → the commits that have it → date, short hash, and the branches and tags that point to it.

    Commits whose data.dvc can't be read, such as one with the marks of a conflict, are under an empty hash.
    """
    found = dict[str, dict[str, str]]()
    # A merge may take nothing from a side branch. Git then leaves the branch out, except in a full history.
    for chosen in (["--simplify-by-decoration"], ["--full-history", "--", "data.dvc"]):
        for line in (ask(root, "log", "--all", "--format=%H %cs %h %D", *chosen) or "").splitlines():
            commit, _, text = line.partition(" ")
            try:
                version = read_data_hash(text_at(root, commit, "data.dvc") or "")
            except BakeoffError:
                version = ""
            if version is not None:
                found.setdefault(version, {})[commit] = visible(text.strip())
    return found


def _ids(files: Any, table: str) -> Iterator[set[str]]:
    """Ids of users in a table of one version, a part at a time."""
    with files.open(f"data/{table}.csv") as file:
        for part in pd.read_csv(file, usecols=["user_id"], dtype=str, keep_default_na=False, chunksize=1_000_000):
            yield set(part["user_id"])
