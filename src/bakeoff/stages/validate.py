"""Stage `validate`: raw CSV → rows that passed, quarantine, the verdict and the Data Docs."""

import logging
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.files import discard, replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.engine import Engine, opened
from bakeoff.data.fetch.canonical_tables import TABLES
from bakeoff.data.validate.csv_reader import RawTable, read_csv
from bakeoff.params import Params

if TYPE_CHECKING:
    from bakeoff.data.validate.gx import Runner
    from bakeoff.data.validate.quarantine import CheckedTable

log = logging.getLogger(__name__)


def run(params: Params, workspace: Workspace) -> None:
    """Check the raw tables and write what may be used, what may not and why.

    Raises:
        BakeoffError: a table cannot be used at all (nothing but the verdict is written), or more of its rows
            than `validation.max_quarantine_share` went to quarantine (all outputs are written first, to be
            looked at).
    """
    with opened() as engine:
        try:
            blocks = {name: _read(workspace, name) for name in TABLES}
            # Great Expectations takes seconds to import: an unreadable file is reported before that.
            from bakeoff.data.validate.quarantine import as_json, excesses, judge_tables

            runner, verdicts = judge_tables(blocks, params.data, params.validation, engine)
        except BakeoffError as error:
            # Rows that passed an earlier run must not be taken for rows of the data that has just been refused.
            discard(workspace.validated)
            discard(workspace.quarantine)
            write_json(workspace.validation_report, {"success": False, "tables": {}, "messages": [str(error)]})
            raise
        max_share = params.validation.max_quarantine_share
        _write(workspace, verdicts, engine)
        write_json(workspace.validation_report, as_json(verdicts, max_share))
        _write_docs(runner, workspace.reports / "data_docs")
        _show(verdicts)
        if paragraphs := excesses(verdicts, max_share):
            raise _too_many(paragraphs, max_share, workspace)


def _read(workspace: Workspace, name: str) -> Iterator[RawTable]:
    path = workspace.data / f"{name}.csv"
    shown = path.relative_to(workspace.root).as_posix()
    if not path.exists():
        raise BakeoffError(f"{shown} does not exist: run `bakeoff fetch` (or `dvc pull`) first.")
    if not path.is_file():
        raise BakeoffError(f"{shown} can't be read: it is not a regular file but a directory, a pipe or a device.")
    with reading(shown, "it must be a readable file", OSError):
        blocks = read_csv(path, shown)
        return chain([next(blocks)], blocks)


def _write(workspace: Workspace, verdicts: Mapping[str, "CheckedTable"], engine: Engine) -> None:
    with replaced(workspace.validated) as validated, replaced(workspace.quarantine) as quarantine:
        for name, verdict in verdicts.items():
            file = f"{name}.parquet"
            engine.write(verdict.valid, validated / file, ("row",), verdict.valid_columns, "zstd")
            engine.write(verdict.quarantined, quarantine / file, ("row",), verdict.quarantine_columns, "zstd")


def _write_docs(runner: "Runner", directory: Path) -> None:
    try:
        with replaced(directory) as docs:
            runner.build_docs(docs)
    except Exception:
        # Nothing depends on the site, so nothing may fail for it.
        log.warning("The Data Docs could not be built; the verdict does not depend on them.", exc_info=True)


def _too_many(paragraphs: list[str], max_share: float, workspace: Workspace) -> BakeoffError:
    where = workspace.quarantine.relative_to(workspace.root).as_posix()
    verdict = workspace.validation_report.relative_to(workspace.root).as_posix()
    return BakeoffError(
        "too many rows went to quarantine.\n"
        + "\n".join(paragraphs)
        + f"\nEach of these rows is in {where}/ with its reason and its line; the counts are in {verdict}. Fix the "
        "data and fetch it again; correct the scale or the days under `validation:` in params.yaml, or the kind of a "
        "feature under `data:`; or, if so many bad rows are expected, raise "
        f"`validation.max_quarantine_share` (now {max_share:g})."
    )


def _show(verdicts: Mapping[str, "CheckedTable"]) -> None:
    table = Table("table", *(Column(head, justify="right") for head in ("rows", "valid", "quarantined", "share")))
    for name, verdict in verdicts.items():
        rows, bad = verdict.num_rows, verdict.num_quarantined
        table.add_row(name, f"{rows:,}", f"{rows - bad:,}", f"{bad:,}", f"{verdict.share:.2%}")
    Console().print(table)
