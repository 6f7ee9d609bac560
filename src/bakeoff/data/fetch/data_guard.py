"""What lies in data/ before a fetch: what it is, and whether it may be replaced or added to."""

from collections.abc import Mapping
from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.data_directory import NEW, Content, hashes, read_content, read_tables
from bakeoff.data.fetch.dataset import Dataset
from bakeoff.data.fetch.tables import About, Tables
from bakeoff.data.fetch.versioning import State, restore_data


def protect(workspace: Workspace, state: State, held: str | None, known: Mapping[str, Dataset]) -> None:
    """Refuse to replace what could not be brought back.

    Args:
        workspace: where data/ lies.
        state: of data/.
        held: name of the data set in data/; None if it does not say.
        known: data sets with a publisher, by name.

    Raises:
        BakeoffError: data/ holds what would be lost.
    """
    if state == "changed":
        raise BakeoffError(
            "data/ is not what data.dvc records, and fetching would replace it. `dvc add data` keeps your "
            "version, `dvc checkout data.dvc` undoes the change, `bakeoff fetch --force` replaces it."
        )
    if state == "absent" or (state == "clean" and held is not None):
        return
    if held is not None and held in known and hashes(workspace.data) == dict(known[held].sha256):
        return  # as it was fetched
    raise BakeoffError(
        "data/ holds files that fetch did not make or that DVC does not record, and fetching would replace "
        "them. Move them elsewhere, or replace them with `bakeoff fetch --force`."
    )


def held_name(data: Path) -> str | None:
    """Name of the data set in data/; None if it does not say."""
    try:
        return read_content(data).about.name
    except (OSError, ValueError):
        return None


def bring_back(workspace: Workspace) -> State:
    """The state after DVC has brought data/ back; there is nothing to add to where none was ever recorded.

    Raises:
        BakeoffError: one is recorded and can't be had.
    """
    if restore_data(workspace.root, NEW):
        return "clean"
    record = workspace.root / "data.dvc"
    if record.exists() and "md5:" in record.read_text(encoding="utf-8"):
        raise BakeoffError(
            "data/ is not there, and neither DVC's cache nor its remote has what data.dvc records: rows can only be "
            "added to what is there. `dvc pull data.dvc` says what is missing; a fetch that adds nothing "
            "(`--from DIR` or `--query DIR`) replaces all of it."
        )
    return "absent"


def content_to_add_to(name: str, workspace: Workspace, state: State) -> Content:
    """What dataset.json says, if the data set of that name is there or none at all.

    Raises:
        BakeoffError: another data set is there.
    """
    if state == "absent":
        return Content(nameless(name))
    try:
        content = read_content(workspace.data)
    except (OSError, ValueError) as error:
        raise BakeoffError(f"data/dataset.json can't be read ({error}): nothing can be added to data/.") from None
    if content.about.name != name:
        raise BakeoffError(
            f"data/ holds {content.about.name}, params.yaml names {name}: rows of one can't be added to the other. "
            f"Fetch {name} whole first (`bakeoff fetch --from DIR` or `--query DIR`), or move data/ and data.dvc away."
        )
    return content


def num_rows(tables: Tables) -> dict[str, int]:
    """Rows of each table."""
    return {name: table.num_rows for name, table in tables.by_name().items()}


def rows_of(data: Path, is_same: bool) -> dict[str, int] | None:
    """Rows of what is there, if it is of the same data set and can be read."""
    try:
        return num_rows(read_tables(data)) if is_same else None
    except BakeoffError:
        return None


def nameless(name: str) -> About:
    """Of a data set of which nothing is known but its name."""
    return About(name=name, title=name, terms="", citation="", url="")
