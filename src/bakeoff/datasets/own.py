"""A team's own CSV or Parquet files → canonical tables. Rows are not judged: validation does that."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bakeoff.datasets.adjacency import is_adjacency_directory, read_adjacency
from bakeoff.datasets.files import read_columns
from bakeoff.datasets.tables import Tables, id_order, sorted_by_id, text_column, text_table
from bakeoff.datasets.timestamps import unix_seconds
from bakeoff.errors import BakeoffError
from bakeoff.params import ColumnParams, DataParams

_SUFFIXES = (".csv", ".parquet")


def read_directory(directory: Path, data: DataParams) -> Tables:
    """Read interactions.csv or .parquet and, where there are, users.* and items.*; or train.txt and test.txt.

    Ids stay exactly as they are written. Users and items without a file of their own are those of the
    interactions, and an item without a title is named by its id. Columns that are not mapped are kept in
    users and items.

    Args:
        directory: where the files lie.
        data: how columns are named, and which of them are features.

    Raises:
        BakeoffError: a file or a mapped column is missing, or a file cannot be read.
    """
    if not directory.is_dir():
        raise BakeoffError(f"{directory} is not a directory: `--from` takes the one that holds your files.")
    path = _find(directory, "interactions")
    if path is None and is_adjacency_directory(directory):
        interactions = read_adjacency(directory)
    elif path is None:
        raise BakeoffError(
            f"{directory} holds neither interactions.csv nor interactions.parquet (nor train.txt and "
            f"test.txt with lines of `user item item …`); it has "
            f"{_listed(sorted(entry.name for entry in directory.iterdir()))}."
        )
    else:
        interactions = _interactions(path, data.columns)
    users = _entities(directory, "users", {"user_id": data.columns.user_id}, interactions["user_id"])
    items = _entities(
        directory,
        "items",
        {"item_id": data.columns.item_id, "title": data.columns.title},
        interactions["item_id"],
    )
    _check_features(users, "users", data.user_features)
    _check_features(items, "items", data.item_features)
    return Tables(interactions, users, items)


def _find(directory: Path, name: str) -> Path | None:
    found = [path for suffix in _SUFFIXES if (path := directory / (name + suffix)).is_file()]
    if len(found) > 1:
        raise BakeoffError(f"{directory} holds {found[0].name} and {found[1].name}: leave the one that counts.")
    return found[0] if found else None


def _interactions(path: Path, names: ColumnParams) -> pa.Table:
    mapping = {
        "user_id": names.user_id,
        "item_id": names.item_id,
        "timestamp": names.timestamp,
        "rating": names.rating,
        "split": names.split,
    }
    columns = read_columns(path, ids=(names.user_id, names.item_id), raw=(names.timestamp,))
    mapped = _mapped(columns, mapping, path)
    if not len(mapped["user_id"]):
        raise BakeoffError(f"{path} has a header but no rows: there is nothing to compare models on.")
    if "timestamp" in mapped:
        where = f"column {names.timestamp} of {path}"
        mapped["timestamp"] = unix_seconds(mapped["timestamp"], names.timestamp_unit, where)
    return text_table(mapped)


def _entities(directory: Path, name: str, mapping: Mapping[str, str | None], referenced: pa.ChunkedArray) -> pa.Table:
    """The users or items table, in id order; from the interactions alone if there is no file."""
    id_column = next(iter(mapping))
    path = _find(directory, name)
    if path is None:
        ids = text_column(referenced.unique())
        table = text_table({id_column: ids.take(pa.array(id_order(ids)))})
    else:
        columns = read_columns(path, ids=(mapping[id_column],))
        mapped = _mapped(columns, mapping, path)
        sources = {source for source in mapping.values() if source is not None}
        extra = {column: values for column, values in columns.items() if column not in sources}
        if clash := extra.keys() & mapped.keys():
            raise BakeoffError(
                f"{path} has a column {_listed(clash)} besides the one that data.columns in params.yaml maps "
                "to that name: rename one of them."
            )
        table = sorted_by_id(text_table({**mapped, **extra}))
    if "title" in mapping and "title" not in table.column_names:
        table = table.add_column(1, "title", table[id_column])
    return table


def _mapped(columns: Mapping[str, Any], mapping: Mapping[str, str | None], path: Path) -> dict[str, Any]:
    """Mapped columns under their canonical names."""
    wanted = {name: source for name, source in mapping.items() if source is not None}
    for name, source in wanted.items():
        if source not in columns:
            raise BakeoffError(
                f"{path} has no column {source!r}; its columns are {_listed(columns)}."
                f"{_delimiter_hint(columns)} data.columns.{name} in params.yaml says which column holds the "
                f"{name}" + ("." if name.endswith("_id") else ", null that there is none.")
            )
    return {name: columns[source] for name, source in wanted.items()}


def _delimiter_hint(columns: Iterable[str]) -> str:
    for header in columns:
        for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"), ("::", "double colons")):
            if delimiter in header:
                return f" It looks as if its fields are separated by {name}: write it with commas."
    return ""


def _check_features(table: pa.Table, name: str, features: Mapping[str, str]) -> None:
    missing = [feature for feature in features if feature not in table.column_names]
    if missing:
        raise BakeoffError(
            f"data.{name[:-1]}_features in params.yaml names {_listed(missing)}, but the {name} have only "
            f"{_listed(table.column_names)}: add the column to {name}.csv or take the feature out ({{}} for "
            "none)."
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"
