"""Stage `validate`: raw CSV → rows that passed, quarantine, the verdict and the Data Docs."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet as pq
from rich.console import Console
from rich.table import Table

from bakeoff.errors import BakeoffError
from bakeoff.params import Params
from bakeoff.stages.files import discard, replaced, write_json
from bakeoff.validation.reader import RawTable, read_csv
from bakeoff.workspace import Workspace

if TYPE_CHECKING:
    from bakeoff.validation.inspector import Inspector
    from bakeoff.validation.quarantine import Verdict

TABLES = ("interactions", "users", "items")

log = logging.getLogger(__name__)


def run(params: Params, workspace: Workspace) -> None:
    """Check the raw tables and write what may be used, what may not and why.

    Raises:
        BakeoffError: a table cannot be used at all (nothing but the verdict is written), or more of its rows
            than `validation.max_quarantine_share` went to quarantine (all outputs are written first, to be
            looked at).
    """
    try:
        raw = {name: _read(workspace, name) for name in TABLES}
        inspector, verdicts = _judge(raw, params)
    except BakeoffError as error:
        _discard_older(workspace)
        write_json(_verdict_path(workspace), {"success": False, "tables": {}, "messages": [str(error)]})
        raise
    _write(params, workspace, verdicts)
    _write_docs(inspector, workspace.reports / "data_docs")
    _show(verdicts)
    _stop_if_too_many(params, workspace, verdicts)


def _judge(raw: Mapping[str, RawTable], params: Params) -> tuple["Inspector", dict[str, "Verdict"]]:
    # Great Expectations takes seconds to import: an unreadable file is reported before that.
    from bakeoff.validation import tables
    from bakeoff.validation.inspector import Inspector
    from bakeoff.validation.quarantine import judge, require_structure

    inspector = Inspector()
    structure = {
        name: require_structure(inspector, name, raw[name], tables.required_columns(name, params.data))
        for name in TABLES
    }
    users = judge(
        inspector,
        "users",
        tables.entities(raw["users"], "user_id", params.data.user_features),
        structure["users"],
    )
    items = judge(
        inspector,
        "items",
        tables.entities(raw["items"], "item_id", params.data.item_features),
        structure["items"],
    )
    events = tables.interactions(raw["interactions"], params.validation, users.valid["user_id"], items.valid["item_id"])
    interactions = judge(inspector, "interactions", events, structure["interactions"])
    return inspector, {"interactions": interactions, "users": users, "items": items}


def _read(workspace: Workspace, name: str) -> RawTable:
    path = workspace.data / f"{name}.csv"
    shown = path.relative_to(workspace.root).as_posix()
    if path.exists() and not path.is_file():
        raise BakeoffError(f"{shown} cannot be read: it is not a regular file but a directory, a pipe or a device.")
    try:
        return read_csv(path.read_bytes(), shown)
    except FileNotFoundError:
        raise BakeoffError(f"{shown} does not exist: run `bakeoff fetch` (or `dvc pull`) first.") from None
    except OSError as error:
        raise BakeoffError(f"{shown} cannot be read ({error.strerror}): it must be a readable file.") from None


def _write(params: Params, workspace: Workspace, verdicts: Mapping[str, "Verdict"]) -> None:
    from bakeoff.validation.summary import as_json

    with replaced(workspace.validated) as validated, replaced(workspace.quarantine) as quarantine:
        for name, verdict in verdicts.items():
            _write_parquet(verdict.valid, validated / f"{name}.parquet")
            _write_parquet(verdict.quarantined, quarantine / f"{name}.parquet")
    write_json(_verdict_path(workspace), as_json(verdicts, params.validation.max_quarantine_share))


def _write_docs(inspector: "Inspector", directory: Path) -> None:
    try:
        with replaced(directory) as docs:
            inspector.build_docs(docs)
    except Exception:
        # Nothing depends on the site, so nothing may fail for it.
        log.warning("The Data Docs could not be built; the verdict does not depend on them.", exc_info=True)


def _stop_if_too_many(params: Params, workspace: Workspace, verdicts: Mapping[str, "Verdict"]) -> None:
    from bakeoff.validation.summary import excesses

    paragraphs = excesses(verdicts, params.validation.max_quarantine_share)
    if not paragraphs:
        return
    where = workspace.quarantine.relative_to(workspace.root).as_posix()
    verdict = _verdict_path(workspace).relative_to(workspace.root).as_posix()
    raise BakeoffError(
        "too many rows went to quarantine.\n"
        + "\n".join(paragraphs)
        + f"\nEach of these rows lies in {where}/ with its reason and its line; the counts are in "
        f"{verdict}. Mend the data and fetch it again; correct the scale or the days under `validation:` in "
        "params.yaml; or, if so many bad rows are expected, raise `validation.max_quarantine_share` "
        f"(now {params.validation.max_quarantine_share:g})."
    )


def _show(verdicts: Mapping[str, "Verdict"]) -> None:
    table = Table("table")
    for heading in ("rows", "valid", "quarantined", "share"):
        table.add_column(heading, justify="right")
    for name, verdict in verdicts.items():
        rows, valid, bad = len(verdict.raw), len(verdict.valid), len(verdict.quarantined)
        table.add_row(name, f"{rows:,}", f"{valid:,}", f"{bad:,}", f"{verdict.share:.2%}")
    Console().print(table)


def _verdict_path(workspace: Workspace) -> Path:
    return workspace.reports / "validation.json"


def _discard_older(workspace: Workspace) -> None:
    # Rows that passed an earlier run must not be taken for rows of the data that has just been refused.
    for directory in (workspace.validated, workspace.quarantine):
        discard(directory)


def _write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table.combine_chunks(), path, compression="zstd")
