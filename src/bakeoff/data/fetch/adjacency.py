"""The format of the NGCF and LightGCN papers' benchmark splits: a line per user, `user item item …`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.files import not_utf8, refuse_binary
from bakeoff.data.fetch.tables import text_table

_PARTS = ("train", "valid", "test")


def is_adjacency_directory(directory: Path) -> bool:
    """Whether train.txt and test.txt are there."""
    return all((directory / name).is_file() for name in ("train.txt", "test.txt"))


def read_adjacency(directory: Path) -> pa.Table:
    """Interactions of train.txt, test.txt and, if there is one, valid.txt, in the order of the files.

    Args:
        directory: holds the files; lines are `user item item …`, separated by blanks. A user without items
            has none.

    Returns:
        user_id, item_id, split (train, valid or test), one row per pair; such data has no times.

    Raises:
        BakeoffError: a file is empty, binary or not UTF-8, or there is no pair at all.
    """
    paths = [path for part in _PARTS if (path := directory / f"{part}.txt").is_file()]
    table = pa.concat_tables([_read(path) for path in paths])
    if not table.num_rows:
        raise BakeoffError(f"{directory} holds no pair: lines of train.txt are `user item item …`.")
    return table


def _read(path: Path) -> pa.Table:
    refuse_binary(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise not_utf8(path) from None
    lines = pc.ascii_trim_whitespace(pa.array(text.split("\n"), pa.large_string()))
    words = pc.ascii_split_whitespace(lines.filter(pc.not_equal(lines, "")))
    starts = words.offsets.to_numpy()[:-1]
    is_item = np.ones(len(words.values), np.bool_)
    is_item[starts] = False  # the first word of a line is the user
    line = pc.list_parent_indices(words).filter(pa.array(is_item))
    users = words.values.take(pa.array(starts)).take(line)
    items = words.values.filter(pa.array(is_item))
    return text_table({"user_id": users, "item_id": items, "split": pa.repeat(path.stem, len(items))})
