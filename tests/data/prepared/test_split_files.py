import errno
import mmap
import os

import numpy as np
import pandas as pd
import pytest

from bakeoff.core import histories
from bakeoff.core import large_tables as keeping
from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.data.prepared import split_files as event_files
from bakeoff.data.prepared.split_files import kept, read_histories

USERS, ITEMS = 6, 5


def frame(rng, num_events):
    return pd.DataFrame(
        {
            "user_index": np.sort(rng.integers(0, USERS, num_events)).astype(np.int32),
            "item_index": rng.integers(0, ITEMS, num_events).astype(np.int32),
            "timestamp": rng.integers(0, 2**40, num_events),
            "part": rng.choice(["history", "test"], num_events),
        }
    )


def expected(events):
    rows, items, timestamps = (events[name].to_numpy() for name in event_files.COLUMNS)
    return Histories.from_rows(rows, items, timestamps, USERS)


def same(found, wanted):
    for name in ("offsets", "items", "timestamps"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


@pytest.fixture(params=[0, 300, 1 << 26], ids=["files", "files after a while", "memory"])
def events(request, monkeypatch):
    monkeypatch.setattr(event_files, "ROWS_PER_BATCH", 7)
    monkeypatch.setattr(keeping, "MAX_IN_MEMORY", request.param)
    return frame(np.random.default_rng(0), 50)


def test_histories_are_those_of_the_whole_table(events, tmp_path):
    events.to_parquet(tmp_path / "all.parquet", row_group_size=11)
    same(read_histories(tmp_path / "all.parquet", USERS, ITEMS, tmp_path), expected(events))


def test_parts_of_a_table_are_read_one_after_the_other(events, tmp_path):
    (tmp_path / "parts.parquet").mkdir()
    for number, start in enumerate(range(0, len(events), 13)):
        events[start : start + 13].to_parquet(tmp_path / f"parts.parquet/{number:05}.parquet")
    same(read_histories(tmp_path / "parts.parquet", USERS, ITEMS, tmp_path), expected(events))


def test_only_events_of_the_part_that_was_named_are_read(events, tmp_path):
    events.to_parquet(tmp_path / "all.parquet")
    found = read_histories(tmp_path / "all.parquet", USERS, ITEMS, tmp_path, "history")
    same(found, expected(events[events["part"] == "history"]))


def test_no_event_of_the_part_gives_empty_histories(events, tmp_path):
    events.assign(part="test").to_parquet(tmp_path / "test.parquet")
    found = read_histories(tmp_path / "test.parquet", USERS, ITEMS, tmp_path, "history")
    same(found, expected(events[:0]))


def test_a_table_without_events_gives_empty_histories(events, tmp_path):
    events[:0].to_parquet(tmp_path / "none.parquet")
    same(read_histories(tmp_path / "none.parquet", USERS, ITEMS, tmp_path), expected(events[:0]))


def test_events_that_are_not_sorted_by_user_are_refused(events, tmp_path):
    events[::-1].to_parquet(tmp_path / "all.parquet")
    with pytest.raises(BakeoffError, match=r"all\.parquet is not sorted by user.*dvc repro --force split"):
        read_histories(tmp_path / "all.parquet", USERS, ITEMS, tmp_path)


def test_users_that_are_out_of_order_between_batches_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(event_files, "ROWS_PER_BATCH", 1)
    frame(np.random.default_rng(0), 2).assign(user_index=[1, 0]).to_parquet(tmp_path / "all.parquet")
    with pytest.raises(BakeoffError, match="is not sorted by user"):
        read_histories(tmp_path / "all.parquet", USERS, ITEMS, tmp_path)


def test_nothing_is_left_in_the_directory_not_even_while_histories_are_in_use(events, tmp_path):
    events.to_parquet(tmp_path / "all.parquet")
    directory = tmp_path / "kept"
    directory.mkdir()
    found = read_histories(tmp_path / "all.parquet", USERS, ITEMS, directory)
    again = kept([found], directory)
    assert os.listdir(directory) == []
    same(again, expected(events))


def test_many_events_are_mapped_and_not_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "MAX_IN_MEMORY", 100)
    events = frame(np.random.default_rng(0), 50)
    events.to_parquet(tmp_path / "all.parquet")
    found = read_histories(tmp_path / "all.parquet", USERS, ITEMS, tmp_path)
    assert isinstance(found.items.base.obj, mmap.mmap)
    assert isinstance(found.timestamps.base.obj, mmap.mmap)
    assert not found.items.flags.writeable


def test_blocks_are_kept_one_after_the_other(events, tmp_path):
    whole = expected(events)
    same(kept((block for _, block in whole.blocks(9)), tmp_path), whole)
    same(kept([], tmp_path), Histories(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)))


def test_known_events_are_merged_block_by_block_into_a_file(events, tmp_path, monkeypatch):
    train, valid = expected(events[events["part"] == "history"]), expected(events[events["part"] == "test"])
    whole = train.merged(valid)
    monkeypatch.setattr(histories, "EVENTS_PER_BLOCK", 5)
    same(kept(train.merged_blocks(valid), tmp_path), whole)


def test_few_events_need_no_disk(events, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "MAX_IN_MEMORY", 12 * len(events))
    events.to_parquet(tmp_path / "all.parquet")
    same(read_histories(tmp_path / "all.parquet", USERS, ITEMS, tmp_path / "nowhere"), expected(events))


def test_a_disk_without_room_for_many_events_is_an_error(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keeping, "MAX_IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    frame(np.random.default_rng(0), 50).to_parquet(tmp_path / "all.parquet")
    with pytest.raises(BakeoffError, match="The disk is full"):
        read_histories(tmp_path / "all.parquet", USERS, ITEMS, tmp_path)


@pytest.mark.parametrize(("column", "index", "told"), [("user_index", 6, "6 users"), ("item_index", -1, "5 items")])
def test_an_event_outside_the_vocabulary_is_refused(tmp_path, column, index, told):
    frame(np.random.default_rng(0), 1).assign(**{column: index}).to_parquet(tmp_path / "all.parquet")
    with pytest.raises(
        BakeoffError, match=rf"{column} {index}, and the vocabulary has {told}.*dvc repro --force split"
    ):
        read_histories(tmp_path / "all.parquet", USERS, ITEMS, tmp_path)


def test_events_without_an_index_are_of_another_version(tmp_path):
    frame(np.random.default_rng(0), 9).drop(columns="item_index").to_parquet(tmp_path / "all.parquet")
    with pytest.raises(ValueError, match="has no column item_index, another version wrote it"):
        read_histories(tmp_path / "all.parquet", USERS, ITEMS, tmp_path)
