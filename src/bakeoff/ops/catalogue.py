"""Items that were added to a model without training it again: their file, and a retriever that ranks them too.

`bakeoff catalogue` adds, lists and removes them. The file belongs to one set of item embeddings, whose hash is in its
name: the vectors of another version mean nothing in its space. Another promotion leaves it where it is, and a rollback
finds it again.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from bakeoff.core.errors import BakeoffError, reading, shortened, visible
from bakeoff.core.files import locked, written
from bakeoff.core.histories import Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import TAG_SEPARATOR, TableEncoding, category_code, number_of, vector_of
from bakeoff.data.fetch.own import read_files
from bakeoff.data.fetch.parts import check_features
from bakeoff.data.params import DataParams
from bakeoff.models.base import specs
from bakeoff.models.base.list_options import filterable
from bakeoff.models.base.new_items import embed_new_items, refuse_without_features
from bakeoff.models.base.storage import load_trained, read_encoding, read_items, refuse_skipped, titled
from bakeoff.ops.git import check_repository

NAMED = 5
"""Items that a message names."""

FOLDER = ".bakeoff/catalogue"
"""Below the root of a workspace; DVC keeps nothing there."""

EMBEDDING = " "
"""Column of the embeddings, float32 [d] each; no feature can have this name. The other columns of added items are
item_id, title and the raw features that lists are filtered by."""

NOTHING = pd.DataFrame(columns=["item_id", "title", EMBEDDING])
"""No added item."""


def embeddings_of(added: pd.DataFrame) -> NDArray[np.float32]:
    """Embeddings of added items, [m, d]."""
    return np.stack(added[EMBEDDING].to_list())


def additions_path(root: Path, model: str, item_ids: Sequence[str], embeddings: NDArray[np.float32]) -> Path:
    """Where the items that were added to a model are.

    Args:
        root: of the workspace.
        model: its name.
        item_ids: n ids, in the order of the item indices.
        embeddings: float32 [n, d] of these items, which no other version shares.
    """
    digest = hashlib.sha256("\0".join(item_ids).encode())
    digest.update(np.ascontiguousarray(embeddings, np.float32).data)
    return root / FOLDER / f"{model}-{digest.hexdigest()[:16]}.parquet"


def read_additions(path: Path) -> pd.DataFrame:
    """What was added.

    Raises:
        BakeoffError: the file is damaged.
    """
    if not path.exists():
        return NOTHING
    what, remedy = f"{path}, the items that were added,", "delete it, and run `bakeoff catalogue add` again"
    with reading(what, remedy, OSError, ValueError, LookupError, pa.ArrowException):
        return titled(pd.read_parquet(path).astype({EMBEDDING: object}))


def write_additions(path: Path, added: pd.DataFrame) -> None:
    """Write the file; readers see the old one or the new one."""
    with written(path) as part:
        added.to_parquet(part, index=False)


def readable(queries: Queries, num_trained: int) -> Queries:
    """The queries without the added items of their histories, which no model reads."""
    is_read = queries.histories.items < num_trained
    return queries if is_read.all() else replace(queries, histories=queries.histories.keep(is_read))


class ExtendedRetriever:
    """A model whose queries may name items that were added behind its own n."""

    def __init__(self, retriever: Any, num_trained: int) -> None:
        """Extend a retriever, or an EncoderRetriever, of n items."""
        self._retriever, self.num_trained = retriever, num_trained
        self.explains: bool = getattr(retriever, "explains", False)

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[len(queries), d]."""
        return np.asarray(self._retriever.embed_queries(readable(queries, self.num_trained)), np.float32)

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """[len(queries)]."""
        return np.asarray(self._retriever.uses_fallback(readable(queries, self.num_trained)), np.bool_)

    def contributions(self, query: Queries, items: NDArray[np.integer]) -> NDArray[np.float64]:
        """See `EncoderRetriever.contributions`; 0 where the item, or that of the history, was added."""
        found = np.zeros((len(items), len(query.histories.items)))
        own, read = items < self.num_trained, query.histories.items < self.num_trained
        if own.any():
            asked = readable(query, self.num_trained)
            found[np.ix_(own, read)] = self._retriever.contributions(asked, items[own])
        return found


@dataclass(frozen=True)
class _Target:
    """The model that items are added to: name and version, what training wrote, its items, the file of additions."""

    name: str
    trained: Path
    item_ids: list[str]
    embeddings: NDArray[np.float32]
    path: Path


def add(
    workspace: Workspace, data: DataParams, source: Path, model: str | None, *, ignore_unknown: bool = False
) -> None:
    """Embed new items and write them where `bakeoff serve` and `bakeoff recommend` find them.

    An item that was added before is embedded anew. Nothing of the model is changed.

    Args:
        workspace: .bakeoff/catalogue is written.
        data: how columns are named.
        source: table of items, as `bakeoff fetch --items` takes it.
        model: one of models/ of the workspace; None: what is in production.
        ignore_unknown: leave out categories and tags that training did not see, and say which, instead of refusing.

    Raises:
        BakeoffError: the model can't embed new items, or the table has a fault; nothing is written then.
    """
    table: Any = read_files({"items": source}, data)["items"]
    with _target(workspace, model) as target:
        encoding = read_encoding(target.trained).item
        refuse_without_features(target.name.partition("@")[0], encoding)
        _check_ids(table, source, target)
        check_features(table, "items", encoding.names)
        rows = table.select(["item_id", *encoding.names]).to_pylist()
        unknown = _drop_unknown(rows, encoding) if ignore_unknown else {}
        items = table.to_pandas().replace("", None).assign(**_read_features(rows, source, encoding, target))
        vectors, how = embed_new_items(target.trained, target.embeddings, items)
        kept = dict.fromkeys(["item_id", "title", *filterable(encoding)])
        added = items[[*kept]].assign(**{EMBEDDING: [*vectors.astype(np.float32)]})
        with _held(target.path) as before:
            everything = pd.concat([before[~before["item_id"].isin(added["item_id"])], added], ignore_index=True)
            write_additions(target.path, everything)
    count = "1 item" if len(added) == 1 else f"{len(added):,} items"
    print(f"{target.name} ranks {count} from {source} now, embedded {how}; {len(everything):,} in all.")
    if passed_over := [name for name in table.column_names if name not in ("item_id", "title", *encoding.names)]:
        print(f"Columns that {target.name} does not read: {visible(', '.join(passed_over))}.")
    for name, values in unknown.items():
        print(f"Values of {visible(name)} that {target.name} did not learn are left out: {_named(values)}.")
    print(f"{target.path}: `bakeoff serve` takes it up in a moment, and without the file they are gone.")


def remove(workspace: Workspace, item_ids: Sequence[str], model: str | None) -> None:
    """Take added items out again; the file goes with the last of them.

    Raises:
        BakeoffError: one of them was not added; nothing is changed then.
    """
    with _target(workspace, model) as target, _held(target.path) as held:
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
    heads = [Column(Text(visible(str(name)))) for name in described]  # a plain text would be read as markup
    shown = Table(*heads, title=f"Added to {target.name}", title_justify="left")
    for row in described.itertuples(index=False):
        shown.add_row(*("" if pd.isna(value) else Text(visible(str(value))) for value in row))
    Console().print(shown)


@contextmanager
def _held(path: Path) -> Iterator[pd.DataFrame]:
    """What was added, which no other `bakeoff catalogue` changes until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):
        yield read_additions(path)


@contextmanager
def _target(workspace: Workspace, model: str | None) -> Iterator[_Target]:
    """The named model of the workspace, or that in production, fetched for as long as the block lasts."""
    if model is None:
        from bakeoff.ops.registry.files import fetched  # loads GTO, without which `bakeoff recommend` starts sooner
        from bakeoff.ops.registry.history import production, read_events

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


def _drop_unknown(rows: list[dict[str, Any]], encoding: TableEncoding) -> dict[str, list[str]]:
    """Take categories and tags that the model does not know out of the rows; feature → what was taken out."""
    unknown: dict[str, set[str]] = {name: set() for name in (*encoding.categorical, *encoding.tags)}
    for row in rows:
        for name, found in unknown.items():
            text = str(row[name] or "")
            values = [tag.strip() for tag in text.split(TAG_SEPARATOR)] if name in encoding.tags else [text]
            known = [value for value in values if value in encoding.codes[name]]
            found.update({*values} - {*known, ""})
            row[name] = TAG_SEPARATOR.join(known)
    return {name: sorted(values) for name, values in unknown.items() if values}


def _read_features(
    rows: Sequence[Mapping[str, Any]], source: Path, encoding: TableEncoding, target: _Target
) -> dict[str, list[Any]]:
    """Columns as a model reads them: numbers and vectors as such, and nothing where a text is empty.

    Raises:
        BakeoffError: an item has no feature, a number is none, or the model does not know a category or a tag.
    """
    read: dict[str, list[Any]] = {name: [] for name in encoding.names}
    for row in rows:
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
            for name in (*encoding.categorical, *encoding.tags, *encoding.text):
                read[name].append(row[name] or None)
        except BakeoffError as error:
            advice = f"Correct it; --ignore-unknown leaves out categories and tags that {target.name} did not learn."
            raise BakeoffError(f"{source}, item {shortened(row['item_id'])}: {error} {advice}") from None
    return read


def _named(item_ids: Collection[str]) -> str:
    shown, more = [*item_ids][:NAMED], len([*item_ids]) - NAMED
    return ", ".join(map(shortened, shown)) + (f" and {more:,} more" if more > 0 else "")
