"""`bakeoff catalogue`: rank new items with a model that was trained without them, and list or remove them."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakeoff.core.errors import BakeoffError, shortened
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import TAG_SEPARATOR, TableEncoding, category_code, number_of, vector_of
from bakeoff.data.fetch.own import read_files
from bakeoff.data.fetch.parts import check_features
from bakeoff.data.params import DataParams
from bakeoff.models.base import specs
from bakeoff.models.base.new_items import embed_new_items, refuse_without_features
from bakeoff.models.base.storage import filterable, load_trained, read_encoding, read_items, refuse_skipped
from bakeoff.ops.additions import EMBEDDING, additions_path, read_additions, write_additions
from bakeoff.ops.git import check_repository
from bakeoff.ops.registry.files import fetched
from bakeoff.ops.registry.history import production, read_events

NAMED = 5
"""Items that a message names."""


@dataclass(frozen=True)
class _Target:
    """The model that items are added to: name and version, what training wrote, its items, the file of additions."""

    name: str
    trained: Path
    item_ids: list[str]
    embeddings: NDArray[np.float32]
    path: Path


def add(workspace: Workspace, data: DataParams, source: Path, model: str | None) -> None:
    """Embed new items and write them where `bakeoff serve` and `bakeoff recommend` find them.

    An item that was added before is embedded anew. Nothing of the model is changed.

    Args:
        workspace: .bakeoff/catalogue is written.
        data: how columns are named.
        source: table of items, as `bakeoff fetch --items` takes it.
        model: one of models/ of the workspace; None: what is in production.

    Raises:
        BakeoffError: the model can't embed new items, or the table has a fault; nothing is written then.
    """
    table: Any = read_files({"items": source}, data)["items"]
    with _target(workspace, model) as target:
        encoding = read_encoding(target.trained).item
        refuse_without_features(target.name.partition("@")[0], encoding)
        _check_ids(table, source, target)
        check_features(table, "items", encoding.names)
        items = _read_items(table, source, encoding, target)
        vectors, how = embed_new_items(target.trained, target.embeddings, items)
        kept = dict.fromkeys(["item_id", "title", *filterable(encoding)])
        added = items[[*kept]].assign(**{EMBEDDING: [*vectors.astype(np.float32)]})
        before = read_additions(target.path)
        everything = pd.concat([before[~before["item_id"].isin(added["item_id"])], added], ignore_index=True)
        write_additions(target.path, everything)
    count = "1 item" if len(added) == 1 else f"{len(added):,} items"
    print(f"{target.name} ranks {count} from {source} now, embedded {how}; {len(everything):,} in all.")
    if passed_over := [name for name in table.column_names if name not in ("item_id", "title", *encoding.names)]:
        print(f"Columns that {target.name} does not read: {', '.join(passed_over)}.")
    print(f"{target.path}: `bakeoff serve` takes it up within a second, and without the file they are gone.")


def remove(workspace: Workspace, item_ids: Sequence[str], model: str | None) -> None:
    """Take added items out again; the file goes with the last of them.

    Raises:
        BakeoffError: one of them was not added; nothing is changed then.
    """
    with _target(workspace, model) as target:
        held = read_additions(target.path)
        known = set(held["item_id"])
        if unknown := [item_id for item_id in item_ids if item_id not in known]:
            raise BakeoffError(
                f"{_named(unknown)} was not added to {target.name}: `bakeoff catalogue list` shows what was."
            )
        left = held[~held["item_id"].isin(item_ids)]
        if len(left):
            write_additions(target.path, left)
        else:
            target.path.unlink()
    print(f"{target.name} no longer ranks {_named(item_ids)}; added items that are left: {len(left):,}.")


def show(workspace: Workspace, model: str | None) -> None:
    """Print the added items.

    Raises:
        BakeoffError: there is no such model, or its file is damaged.
    """
    with _target(workspace, model) as target:
        held = read_additions(target.path)
    if held.empty:
        print(f"Nothing was added to {target.name}.")
        return
    described = held.drop(columns=EMBEDDING)
    shown = Table(*map(str, described), title=f"Added to {target.name}", title_justify="left")
    for row in described.itertuples(index=False):
        shown.add_row(*("" if pd.isna(value) else Text(str(value)) for value in row))
    Console().print(shown)


@contextmanager
def _target(workspace: Workspace, model: str | None) -> Iterator[_Target]:
    """The named model of the workspace, or that in production, fetched for as long as the block lasts."""
    if model is None:
        check_repository(workspace.root)
        if (standing := production(read_events(workspace.root))) is None:
            raise BakeoffError("Nothing is in production to add items to: name one of models/, such as --model mf.")
        model, name = standing.version.model, standing.version.name
        files: AbstractContextManager[Path] = fetched(workspace.root, standing.version, "trained")
    else:
        specs.check_model(model)
        refuse_skipped(workspace, model)
        files, name = nullcontext(workspace.trained(model)), model
    with files as trained:
        embeddings = np.asarray(load_trained(trained).item_embeddings)
        ids = read_items(trained, ids_only=True)["item_id"].astype(str).tolist()
        yield _Target(name, trained, ids, embeddings, additions_path(workspace.root, model, ids, embeddings))


def _check_ids(table: pa.Table, source: Path, target: _Target) -> None:
    """Refuse a table without a row, and ids that are missing, not unique or known to the model."""
    ids = pd.Series(table["item_id"].to_pylist(), dtype=object)
    fault = ""
    if not len(ids):
        fault = "has no item: write a row for each new one"
    elif not ids.astype(bool).all():
        fault = f"has {int((~ids.astype(bool)).sum())} rows without an item_id: give each item one"
    elif ids.duplicated().any():
        fault = f"has more than one row for {_named(ids[ids.duplicated()].unique())}: leave one of them"
    elif len(known := ids[ids.isin(target.item_ids)]):
        fault = f"names {_named(known)}, which {target.name} was trained on: leave out what it knows already"
    if fault:
        raise BakeoffError(f"{source} {fault}.")


def _read_items(table: pa.Table, source: Path, encoding: TableEncoding, target: _Target) -> pd.DataFrame:
    """The table as a model reads it: numbers and vectors as such, and nothing where a text is empty.

    Raises:
        BakeoffError: an item has no feature, a number is none, or the model does not know a category or a tag.
    """
    read: dict[str, list[Any]] = {name: [] for name in (*encoding.dense, *encoding.vector)}
    for row in table.select(["item_id", *encoding.names]).to_pylist():
        try:
            if not any(row[name] for name in (*filterable(encoding), *encoding.vector) or encoding.names):
                raise BakeoffError("it has no feature but texts, so nothing says what it is like.")
            for name in encoding.dense:
                read[name].append(number_of(name, row[name]))
            for name in encoding.categorical:
                category_code(name, row[name], encoding.codes[name])
            for name, size in encoding.vector.items():
                read[name].append(vector_of(name, row[name], size) if row[name] else None)
            for name in encoding.tags:
                for tag in (row[name] or "").split(TAG_SEPARATOR):
                    category_code(name, tag.strip(), encoding.codes[name])
        except BakeoffError as error:
            advice = f"Correct it, or leave out what {target.name} was not trained with."
            raise BakeoffError(f"{source}, item {shortened(row['item_id'])}: {error} {advice}") from None
    return table.to_pandas().replace("", None).assign(**read)


def _named(item_ids: Collection[str]) -> str:
    shown, more = [*item_ids][:NAMED], len([*item_ids]) - NAMED
    return ", ".join(map(shortened, shown)) + (f" and {more:,} more" if more > 0 else "")
