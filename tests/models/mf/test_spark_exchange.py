"""The files of pairs, without Spark, in whose place is what reads them at once; tests/data/engine has Spark."""

from pathlib import Path
from types import SimpleNamespace
from urllib.request import url2pathname

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_histories import histories

from bakeoff.core.errors import BakeoffError
from bakeoff.models.mf import mllib as stage


def session():
    """Reads what Spark would read lazily."""

    def parquet(url):
        return pq.read_table(Path(url2pathname(url.removeprefix("file:"))))

    reader = SimpleNamespace(schema=lambda text: SimpleNamespace(parquet=parquet))
    return SimpleNamespace(read=reader)


def parts(rows, items, tmp_path):
    """Content of each part, in their order."""
    with stage.observed_pairs(histories(rows, items), session(), tmp_path):
        found = [pq.read_table(path) for path in sorted(tmp_path.glob("*/*"))]
    assert all(part.schema == stage.SCHEMA for part in found)
    return [part.to_pydict() for part in found]


def test_parts_hold_a_row_per_event_in_the_order_of_the_histories(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ROWS_PER_PART", 2)
    assert parts([1, 3, 0, 2], [8, 9, 7, 9, 4, 5], tmp_path) == [
        {"user": [0], "item": [8]},
        {"user": [1, 1, 1], "item": [9, 7, 9]},
        {"user": [3, 3], "item": [4, 5]},
    ]


def test_parts_sort_as_their_rows_do(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ROWS_PER_PART", 1)
    assert [part["item"] for part in parts([1] * 12, range(12), tmp_path)] == [[item] for item in range(12)]


def test_histories_without_events_are_one_part_without_rows(tmp_path):
    assert parts([0, 0], [], tmp_path) == [{"user": [], "item": []}]


def test_there_are_pairs_to_read_until_the_block_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ROWS_PER_PART", 2)
    with stage.observed_pairs(histories([1, 2], [5, 6, 7]), session(), tmp_path) as pairs:
        assert pairs.to_pydict() == {"user": [0, 1, 1], "item": [5, 6, 7]}
        assert len(list(tmp_path.glob("*/*.parquet"))) == 2
    assert list(tmp_path.iterdir()) == []


def test_embeddings_come_back_in_blocks_from_all_parts_and_are_gone_then(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "FACTORS_PER_BLOCK", 2)

    def write(url):
        folder = Path(url2pathname(url.removeprefix("file:")))
        folder.mkdir()
        (folder / "_SUCCESS").touch()
        for number, ids in enumerate([[4, 0, 2], [], [1]]):
            features = pa.array([[i, -i] for i in ids], pa.list_(pa.float32()))
            pq.write_table(
                pa.table({"id": pa.array(ids, pa.int32()), "features": features}), folder / f"{number}.parquet"
            )

    factors = SimpleNamespace(write=SimpleNamespace(parquet=write))
    found = [(ids.tolist(), rows.tolist()) for ids, rows in stage.factor_blocks(factors, tmp_path)]
    assert found == [([4, 0], [[4, -4], [0, 0]]), ([2], [[2, -2]]), ([1], [[1, -1]])]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_after_a_failure(tmp_path, error):
    with (
        pytest.raises(error),
        stage.observed_pairs(histories([1], [5]), session(), tmp_path),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_parts_that_could_not_be_written(tmp_path, monkeypatch):
    def full(table, path):
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage.pq, "write_table", full)
    with (
        pytest.raises(OSError, match="No space left"),
        stage.observed_pairs(histories([1], [5]), session(), tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_executors_that_do_not_see_scratch_are_told_of_with_what_to_do(tmp_path):
    words = "An error occurred while calling o46.fit.\n: SparkException: [FAILED_READ_FILE.FILE_NOT_EXIST] …"
    with (
        pytest.raises(BakeoffError, match=r"can't read .*pairs-.*: set BAKEOFF_SCRATCH to"),
        stage.observed_pairs(histories([1], [5]), session(), tmp_path),
    ):
        raise RuntimeError(words)
