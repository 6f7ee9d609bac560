"""`bakeoff fetch`: fill data/ with the canonical tables and record their version in data.dvc."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bakeoff.core.errors import BakeoffError, denied_access, visible
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch import own_sources as taking
from bakeoff.data.fetch.data_directory import (
    NEW,
    Content,
    alone,
    hashes,
    put_in_place,
    read_content,
    read_tables,
    same_bytes,
    staged,
    write,
)
from bakeoff.data.fetch.data_guard import bring_back, content_to_add_to, held_name, nameless, num_rows, protect, rows_of
from bakeoff.data.fetch.dataset import Dataset, datasets
from bakeoff.data.fetch.download import Transfer, obtain
from bakeoff.data.fetch.own import read_directory
from bakeoff.data.fetch.own_sources import Request
from bakeoff.data.fetch.parts import complete
from bakeoff.data.fetch.tables import About, Tables
from bakeoff.data.fetch.versioning import State, add_data, data_state, is_versioned, restore_data
from bakeoff.data.params import DataParams

_CONSOLE = Console()


@dataclass(frozen=True)
class Found:
    """What is to be in data/.

    Attributes:
        tables: the canonical tables.
        content: of dataset.json.
        came_from: in words.
        sha256: what the tables must be, by name; empty where anything will do.
    """

    tables: Tables
    content: Content
    came_from: str
    sha256: Mapping[str, str]


def run(
    data: DataParams,
    workspace: Workspace,
    source: Path | None = None,
    force: bool = False,
    *,
    query: Path | None = None,
    inbox: Path | None = None,
    append: bool = False,
    known: Mapping[str, Dataset] | None = None,
) -> None:
    """Make data/ hold the data set that `data` names: as it is, restored by DVC, or from its source.

    Args:
        data: which data set, and how a team's own columns are named.
        workspace: where data/ and data.dvc lie.
        source: a team's own directory of files; None for another source.
        force: fetch although data/ is up to date, and replace a data/ that nothing else records.
        query: directory of SQL files for the database in BAKEOFF_DATABASE_URL; likewise.
        inbox: directory of deliveries, of which those that were not taken yet are added; likewise.
        append: whether what `source` or `query` brings is added to what is there.
        known: data sets with a publisher, by name; None: all that are found.

    Raises:
        UnreachableError: the database can't be reached now.
        BakeoffError: what to fetch is not clear, data/ holds something that would be lost, a source fails, or
            the tables are not the expected ones. data/ and data.dvc are then as they were.
    """
    known = datasets() if known is None else known
    request = Request(source, query, inbox, append)
    request.check(data.dataset, workspace.data, known)
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
        with alone(workspace.root, _say):
            state = data_state(workspace.root)
            if request.adds:
                _add(data, workspace, request, state, force, known)
            elif force or request.origin is not None or not _is_there(data.dataset, workspace, state):
                _replace(data, workspace, request, state, force, known)
    except OSError as error:
        raise denied_access(error) or error from None


def _replace(
    data: DataParams,
    workspace: Workspace,
    request: Request,
    state: State,
    force: bool,
    known: Mapping[str, Dataset],
) -> None:
    """Fetch all of the data set."""
    name = data.dataset
    dataset = _known(name, known) if request.origin is None else None
    held = held_name(workspace.data)
    if not force:
        protect(workspace, state, held, known)
    if held not in (None, name):
        _say(f"data/ holds {held}, params.yaml names {name}: fetching that.")
    if dataset is not None:
        tables, came_from = _download(dataset, workspace)
        found = Found(tables, Content(dataset.about), came_from, dataset.sha256)
    else:
        tables, came_from = _own(data, request)
        found = Found(tables, Content(nameless(name)), came_from, {})
    _put(found, workspace, state, rows_of(workspace.data, held == name))
    _show_terms(found.content.about)


def _own(data: DataParams, request: Request) -> tuple[Tables, str]:
    """A team's own tables, whole, and where they came from."""
    if request.source is not None:
        return read_directory(request.source, data), str(request.source)
    [(parts, where)] = taking.read(request, data)
    return complete(parts, data, where), where


def _add(
    data: DataParams, workspace: Workspace, request: Request, state: State, force: bool, known: Mapping[str, Dataset]
) -> None:
    """Add what a source brings to what is there."""
    if state == "absent":
        state = bring_back(workspace)
    if not force:
        protect(workspace, state, held_name(workspace.data), known)
    content = content_to_add_to(data.dataset, workspace, state)
    held = None if state == "absent" else read_tables(workspace.data)
    new = taking.take(request, data, held, content.taken, _say)
    if new is None:
        return
    found = Found(new.tables, Content(content.about, {**content.taken, **new.taken}), new.came_from, {})
    _put(found, workspace, state, None if held is None else num_rows(held), note=new.note, grown=new.grown)
    for reason in new.refused:
        _say(f"NOT TAKEN: {reason} Mend the delivery, or move it out of the inbox.")


def _put(
    found: Found,
    workspace: Workspace,
    state: State,
    before: Mapping[str, int] | None,
    note: str = "",
    grown: bool = True,
) -> None:
    """Write beside data/ and let it take its place, unless it is the same."""
    with staged(workspace.root) as new:
        write(found.tables, found.content, new)
        _verify(new, found.sha256, found.content.about, found.came_from)
        same = same_bytes(new, workspace.data)
        if not same:
            put_in_place(new, workspace.data)
    versioned = is_versioned(workspace.root)
    if same and versioned and state != "clean":
        add_data(workspace.root)
    _say(_told(found, before, note, same or not grown))
    if not versioned:
        _say("It is not versioned: this directory is not a DVC repository (`dvc init` makes it one).")


def _told(found: Found, before: Mapping[str, int] | None, note: str, unchanged: bool) -> str:
    """The sentence that says what has become of data/; the flow for ingesting looks at its beginning."""
    if unchanged:
        return f"data/ is unchanged: {found.came_from} brings nothing new.{note}"
    counts = num_rows(found.tables)
    rows = ", ".join(
        f"{number:,} {name}" if before is None or before == counts else f"{before[name]:,} → {number:,} {name}"
        for name, number in counts.items()
    )
    return f"data/ holds {found.content.about.title} from {found.came_from}: {rows}.{note}"


def _known(name: str, known: Mapping[str, Dataset]) -> Dataset:
    if name not in known:
        raise BakeoffError(
            f"data.dataset in params.yaml is {name!r}, which is not one that bakeoff can download "
            f"({', '.join(known)}): `bakeoff fetch --from DIR` reads your own files, `--query DIR` asks your database."
        )
    return known[name]


def _is_there(name: str, workspace: Workspace, state: State) -> bool:
    """Whether data/ is, or could be restored to, what is asked for."""
    if state == "absent":
        with _CONSOLE.status("Looking for data/ in DVC's cache and remote"):
            restored = restore_data(workspace.root, NEW)
        if restored and held_name(workspace.data) == name:
            _say("data/ was restored by DVC, as recorded in data.dvc.")
            _show_terms(read_content(workspace.data).about)
            return True
        return False
    if state == "changed" or held_name(workspace.data) != name:
        return False
    if state == "unversioned" and is_versioned(workspace.root):
        add_data(workspace.root)
    _say(f"data/ is up to date ({read_content(workspace.data).about.title}).")
    return True


def _download(dataset: Dataset, workspace: Workspace) -> tuple[Tables, str]:
    _say(f"Fetching {dataset.about.title}.")
    return obtain(dataset, workspace.root / "artifacts/download", Transfer(progress=_CONSOLE.is_terminal), _say)


def _verify(directory: Path, expected: Mapping[str, str], about: About, came_from: str) -> None:
    got = hashes(directory)
    for name, sha256 in expected.items():
        if got[name] != sha256:
            raise BakeoffError(
                f"{name}.csv of {about.title}, from {came_from}, is not the table it must be:\n"
                f"  sha256 expected {sha256}\n  sha256 got      {got[name]}\n"
                "The source's content or the code that reads it has changed, so data.dvc and published "
                "results would not hold for it; data/ was left as it was. Fetch again; if that does not "
                "help, compare the table with an earlier one, and if the change is right, update the hash in "
                "its module in src/bakeoff/data/datasets."
            )


def _show_terms(about: About) -> None:
    if about.terms:
        _say(f"\nTerms: {about.terms}\nCitation: {about.citation}\nMore: {about.url}\n")


def _say(text: str) -> None:
    text = "\n".join(map(visible, text.split("\n")))  # it may quote a file or a name that is not UTF-8
    _CONSOLE.print(text, markup=False, highlight=False, soft_wrap=not _CONSOLE.is_terminal)
