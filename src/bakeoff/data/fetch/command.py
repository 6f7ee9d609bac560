"""`bakeoff fetch`: fill data/ with the canonical tables and record their version in data.dvc."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bakeoff.core.errors import BakeoffError, denied_access, visible
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch import data_directory, own_sources
from bakeoff.data.fetch.canonical_tables import About, Tables
from bakeoff.data.fetch.own_sources import PUBLISHER, Found, Request
from bakeoff.data.fetch.parts import complete
from bakeoff.data.fetch.publishers import Dataset, Datasets, datasets, obtain
from bakeoff.data.fetch.versioning import State, add_data, data_state, is_versioned, restore_data
from bakeoff.data.params import DataParams

_CONSOLE = Console()


def run(
    data: DataParams,
    workspace: Workspace,
    request: Request = PUBLISHER,
    force: bool = False,
    known: Datasets | None = None,
) -> None:
    """Make data/ hold the data set that `data` names: as it is, restored by DVC, or from its source.

    Args:
        data: which data set, and how a team's own columns are named.
        workspace: where data/ and data.dvc lie.
        request: where a team's own data come from, and whether they are added to what is there.
        force: fetch although data/ is up to date, and replace a data/ that nothing else records.
        known: data sets with a publisher, by name; None: all that are found.

    Raises:
        UnreachableError: the database can't be reached now.
        BakeoffError: what to fetch is not clear, data/ holds something that would be lost, a source fails, or
            the tables are not the expected ones. data/ and data.dvc are then as they were.
    """
    known = datasets() if known is None else known
    request.check(data.dataset, workspace.data, known)
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
        with data_directory.alone(workspace.root, _say):
            state = data_state(workspace.root)
            if request.adds and state == "absent":
                state = data_directory.bring_back(workspace)
            is_wanted = force or request.origin or not _is_there(data.dataset, workspace, state)
            if is_wanted and not force:
                data_directory.protect(workspace, state, known)
            if request.adds:
                _add(data, workspace, request, state)
            elif is_wanted:
                _replace(data, workspace, request, state, known)
    except OSError as error:
        raise denied_access(error) or error from None


def _replace(data: DataParams, workspace: Workspace, request: Request, state: State, known: Datasets) -> None:
    """Fetch all of the data set."""
    name, held = data.dataset, data_directory.held_name(workspace.data)
    if not request.origin and name not in known:
        raise BakeoffError(
            f"data.dataset in params.yaml is {name!r}, which is not one that bakeoff can download "
            f"({', '.join(known)}): `bakeoff fetch --from DIR` (or `--interactions FILE`) reads your own files, "
            "`--query DIR` your database."
        )
    if held not in (None, name):
        _say(f"data/ holds {held}, params.yaml names {name}: fetching that.")
    if request.origin:
        dataset = Dataset(About(name, name), ())
        tables, where = complete(own_sources.read_source(request, data), data, request.origin), request.origin
    else:
        dataset = known[name]
        _say(f"Fetching {dataset.about.title}.")
        tables, where = obtain(dataset, _say, progress=_CONSOLE.is_terminal)
    before = None
    if held == name:
        with suppress(BakeoffError):  # it is replaced, and only the sentence about it needs its rows
            before = data_directory.read_tables(workspace.data)
    _put(Found(tables, where, sha256=dataset.sha256), dataset.about, workspace, state, before)
    _show_terms(dataset.about)


def _add(data: DataParams, workspace: Workspace, request: Request, state: State) -> None:
    """Add what a source brings to what is there."""
    about, held = About(data.dataset, data.dataset), None
    if state != "absent":
        about = data_directory.about_to_add_to(data.dataset, workspace)
        held = data_directory.read_tables(workspace.data)
    found = own_sources.add(request, data, held, about.taken_sha256, _say)
    if found is not None:
        _put(found, replace(about, taken_sha256={**about.taken_sha256, **found.taken}), workspace, state, held)
        for reason in found.refused:
            _say(f"NOT TAKEN: {reason} Fix the delivery, or move it out of the inbox.")


def _put(found: Found, about: About, workspace: Workspace, state: State, before: Tables | None) -> None:
    """Write next to data/ and replace it, unless it is the same; say what has changed."""
    with data_directory.staged(workspace.root) as new:
        data_directory.write(found.tables, about, new)
        _verify(new, found.sha256, about, found.came_from)
        same = data_directory.same_bytes(new, workspace.data)
        if not same:
            data_directory.put_in_place(new, workspace.data)
    versioned = is_versioned(workspace.root)
    if same and versioned and state != "clean":
        add_data(workspace.root)
    if same or not found.grown:
        _say(f"data/ is unchanged: {found.came_from} brings nothing new.{found.note}")
    else:
        counts = _num_rows(found.tables)
        old = counts if before is None else _num_rows(before)
        rows = ", ".join(
            f"{number:,} {name}" if old == counts else f"{old[name]:,} → {number:,} {name}"
            for name, number in counts.items()
        )
        _say(f"data/ holds {about.title} from {found.came_from}: {rows}.{found.note}")
    if not versioned:
        _say("It is not versioned: this directory is not a DVC repository (`dvc init` makes it one).")


def _num_rows(tables: Tables) -> dict[str, int]:
    return {name: table.num_rows for name, table in tables.items()}


def _is_there(name: str, workspace: Workspace, state: State) -> bool:
    """Whether data/ is, or could be restored to, the data set of that name."""
    if state == "absent":
        with _CONSOLE.status("Looking for data/ in DVC's cache and remote"):
            restored = restore_data(workspace.root, data_directory.NEW)
        if restored and data_directory.held_name(workspace.data) == name:
            _say("data/ was restored by DVC, as recorded in data.dvc.")
            _show_terms(data_directory.read_about(workspace.data))
            return True
        return False
    if state == "changed" or data_directory.held_name(workspace.data) != name:
        return False
    if state == "unversioned" and is_versioned(workspace.root):
        add_data(workspace.root)
    _say(f"data/ is up to date ({data_directory.read_about(workspace.data).title}).")
    return True


def _verify(directory: Path, expected: Mapping[str, str], about: About, came_from: str) -> None:
    got = data_directory.hashes(directory)
    for name, sha256 in expected.items():
        if got[name] != sha256:
            raise BakeoffError(
                f"{name}.csv of {about.title}, from {came_from}, is not the table it must be:\n"
                f"  sha256 expected {sha256}\n  sha256 got      {got[name]}\n"
                "The source's content or the code that reads it has changed, so data.dvc and published "
                "results would not hold for it; data/ was left as it was. Fetch again; if that does not "
                "help, compare the table with an earlier one, and if the change is right, update the hash in "
                "src/bakeoff/data/datasets."
            )


def _show_terms(about: About) -> None:
    if about.terms:
        _say(f"\nTerms: {about.terms}\nCitation: {about.citation}\nMore: {about.url}\n")


def _say(text: str) -> None:
    text = "\n".join(map(visible, text.split("\n")))  # it may quote a file or a name that is not UTF-8
    _CONSOLE.print(text, markup=False, highlight=False, soft_wrap=not _CONSOLE.is_terminal)
