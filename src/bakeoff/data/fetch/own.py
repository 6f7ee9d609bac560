"""A team's own files, delimited text or Parquet → canonical tables. Rows are not judged: validation does that."""

import codecs
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.canonical_tables import TABLES, text_table
from bakeoff.data.fetch.parts import MAPPED, Parts, Raw, listed, parts
from bakeoff.data.fetch.table_files import read_columns
from bakeoff.data.params import PARTS, DataParams
from bakeoff.data.validate.csv_reader import check_text

_SUFFIXES = (".csv", ".tsv", ".parquet")


def read_parts(directory: Path, data: DataParams) -> Parts:
    """Read those of interactions.*, users.* and items.* that there are (.csv, .tsv or .parquet), as `read_files` does.

    In place of interactions.* there may be train.txt and test.txt, see `read_adjacency`.

    Args:
        directory: where the files lie.
        data: how columns are named.

    Raises:
        BakeoffError: there is no such file, or as `read_files`.
    """
    check_directory(directory)
    found = [path for table in TABLES for suffix in _SUFFIXES if (path := directory / (table + suffix)).is_file()]
    paths = {path.stem: path for path in found}
    if len(paths) < len(found):
        names = " and ".join(path.name for path in found)
        raise BakeoffError(f"{directory} holds {names}: leave one file for each table, the one that counts.")
    if "interactions" not in paths and all((directory / f"{part}.txt").is_file() for part in ("train", "test")):
        return {"interactions": read_adjacency(directory)}
    if not paths:
        content = listed(sorted(entry.name for entry in directory.iterdir()))
        raise BakeoffError(
            f"{directory} holds neither interactions.csv nor .tsv nor .parquet (nor users or items, nor train.txt and "
            f"test.txt with lines of `user item item …`); it has {content}. `--interactions FILE` takes any name."
        )
    return read_files(paths, data)


def read_files(paths: Mapping[str, Path], data: DataParams) -> Parts:
    """Read a file for each table.

    Ids stay exactly as they are written, and columns that are not mapped are kept in users and items.

    Args:
        paths: table (interactions, users, items) → its file; not all need to be there.
        data: how columns are named, and the encoding of text.

    Raises:
        BakeoffError: there is no such file, a mapped column is missing, or a file cannot be read.
    """
    names, found = data.columns, dict[str, Raw]()
    for table, path in paths.items():
        if not path.is_file():
            raise BakeoffError(f"{path} is not a file: name the one that holds your {table}.")
        is_events = table == "interactions"
        raw, wanted = ((names.timestamp,), {getattr(names, name) for name in MAPPED}) if is_events else ((), None)
        found[table] = Raw(str(path), read_columns(path, names.ids[table], raw, data.encoding, wanted=wanted))
    return parts(found, data)


def read_adjacency(directory: Path) -> pa.Table:
    """Interactions of a benchmark split in the format of the NGCF and LightGCN papers, in the order of its files.

    Args:
        directory: holds a text file for each of PARTS, perhaps none for valid; lines are `user item item …`, separated
            by blanks. A user without items has none.

    Returns:
        user_id, item_id, split (train, valid or test), one row per pair; such data has no times.

    Raises:
        BakeoffError: a file is empty, binary or not UTF-8, or there is no pair at all.
    """
    paths = [path for part in PARTS if (path := directory / f"{part}.txt").is_file()]
    table = pa.concat_tables([_pairs(path) for path in paths])
    if not table.num_rows:
        raise BakeoffError(f"{directory} holds no pair: lines of train.txt are `user item item …`.")
    return table


def _pairs(path: Path) -> pa.Table:
    check_text(path, str(path))
    words = [line.split() for line in path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")]
    # The first word of a line is the user.
    users = pa.array([user for user, *items in filter(None, words) for _ in items], pa.large_binary())
    items = pa.array([item for line in words for item in line[1:]], pa.large_binary())
    return text_table({"user_id": users, "item_id": items, "split": pa.repeat(path.stem, len(items))})


def check_directory(directory: Path) -> None:
    """See that there is such a directory.

    Raises:
        BakeoffError: there is none.
    """
    if not directory.is_dir():
        raise BakeoffError(f"{directory} is not a directory: name the one that holds your files.")
