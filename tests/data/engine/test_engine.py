"""What engines do with what they are given, and what they leave."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from csv_bytes import read_csv

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine import engine as engines
from bakeoff.data.engine.engine import Partitioned, opened
from bakeoff.data.engine.settings import SCRATCH_NAME, EngineSettings, engine_settings, variable
from bakeoff.data.validate import csv_reader
from bakeoff.params import parse_params
from bakeoff.stages import validate


def test_what_does_not_fit_in_memory_spills_to_scratch_which_is_gone_afterwards(tmp_path):
    table = pa.table({"key": range(200_000), "text": [f"{n * 7919 % 1_000_003:0100d}" for n in range(200_000)]})
    pq.write_table(table, tmp_path / "table.parquet")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with opened(EngineSettings(memory_limit="24MB", threads=1, scratch=str(scratch))) as engine:
        rows = Partitioned.single(engine.read(tmp_path / "table.parquet"))
        engine.write(rows, tmp_path / "sorted.parquet", ("text",), {"Key": "key", "key": "text"}, "snappy")
        assert any((engine.scratch / "spill").iterdir())
    assert os.listdir(scratch) == []
    written = pq.read_table(tmp_path / "sorted.parquet")
    assert written.column_names == ["Key", "key"]
    assert written["key"].to_pylist() == sorted(table["text"].to_pylist())


def test_too_little_memory_says_which_setting_to_raise(tmp_path):
    pq.write_table(pa.table({"text": ["x" * 1000] * 100_000}), tmp_path / "table.parquet")
    with (
        pytest.raises(BakeoffError, match=r"BAKEOFF_MEMORY_LIMIT=1MB"),
        opened(EngineSettings(memory_limit="1MB")) as e,
    ):
        e.kept("all", e.read(tmp_path / "table.parquet").distinct())


def test_a_scratch_that_is_not_there_is_named():
    with (
        pytest.raises(BakeoffError, match=r"BAKEOFF_SCRATCH=/nowhere"),
        opened(EngineSettings(scratch="/nowhere/at/all")),
    ):
        pass


def test_spark_without_java_says_what_to_install(monkeypatch, tmp_path):
    pytest.importorskip("pyspark")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(BakeoffError, match=r"no Java.*17 or 21"), opened(EngineSettings(engine="spark")):
        pass


ROWS = [*(f'{n},"v{n}\n""q"" ,"' for n in range(30)), "30,", ",", "32,é 中"]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_blocks_are_the_rows_and_lines_of_the_whole_file(tmp_path, monkeypatch, start, end):
    content = start + ("\n".join(["a,b", *ROWS]) + end).encode()
    (tmp_path / "x.csv").write_bytes(content)
    whole = read_csv(content, "x.csv")
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 64)
    pieces = list(csv_reader.read_csv(tmp_path / "x.csv", "x.csv"))
    assert len(pieces) > 3
    assert [line for piece in pieces for line in piece.lines] == whole.lines.tolist()
    assert pa.concat_tables(piece.columns for piece in pieces).to_pylist() == whole.columns.to_pylist()


@pytest.mark.parametrize("odd", [b"1,2,3\n4\n", b"1,\xff\n", b"1,\0\n"])
def test_a_fault_in_a_later_block_has_the_message_of_a_small_file(tmp_path, monkeypatch, odd):
    content = "\n".join(["a,b", *ROWS, ""]).encode() + odd
    (tmp_path / "x.csv").write_bytes(content)
    messages = []
    for size in (2**20, 64):
        monkeypatch.setattr(csv_reader, "BLOCK_BYTES", size)
        with pytest.raises(BakeoffError) as refusal:
            list(csv_reader.read_csv(tmp_path / "x.csv", "x.csv"))
        messages.append(str(refusal.value).partition("(byte")[0])  # the text around a byte is from its block
    assert messages[0] == messages[1]


def test_a_row_that_is_longer_than_a_block_is_refused_with_the_likely_cause(tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_bytes(b'a,b\n1,2\n1,"' + b"x" * 200 + b'"\n')
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 64)
    with pytest.raises(BakeoffError, match=r"after line [12]: .* A row may take 64 bytes; .*never closed"):
        list(csv_reader.read_csv(tmp_path / "x.csv", "x.csv"))


def test_rows_that_are_judged_in_pieces_have_the_same_verdict(tmp_path, monkeypatch):
    data = {
        "users": ["user_id,age", "1,24", "2,", "3,old", ",5", "1,9", *(f"{n},30" for n in range(10, 20))],
        "items": ["item_id,title", "a,A", "b,B", "a,C"],
        "interactions": ["user_id,item_id,timestamp", *(f"{n % 21},{'abc'[n % 3]},{n % 5 + 10**9}" for n in range(90))],
    }
    found = []
    monkeypatch.setattr(validate, "_write_docs", lambda *_: None)
    for rows, size in ((engines.BLOCK_ROWS, csv_reader.BLOCK_BYTES), (40, 200)):
        monkeypatch.setattr(engines, "BLOCK_ROWS", rows)
        monkeypatch.setattr(csv_reader, "BLOCK_BYTES", size)
        workspace = Workspace(tmp_path / str(rows))
        workspace.data.mkdir(parents=True)
        for name, lines in data.items():
            (workspace.data / f"{name}.csv").write_text("\n".join(lines) + "\n")
        features = {"user_features": {"age": "dense"}}
        validate.run(parse_params({"data": features, "validation": {"max_quarantine_share": 0.9}}), workspace)
        tables = sorted(workspace.root.rglob("*.parquet"))
        found.append([workspace.validation_report.read_bytes(), *map(pq.read_table, tables)])
    assert found[0] == found[1]


def test_rows_that_agree_are_in_one_frame_and_a_user_with_very_many_is_in_several(monkeypatch):
    monkeypatch.setattr(engines, "BLOCK_ROWS", 100)
    users = np.repeat(np.arange(1_001), [1_000, *[3] * 1_000])
    items = np.concatenate([np.arange(1_000) % 700, np.tile([1, 2, 1], 1_000)])
    rows = pa.table({"row": np.arange(4_000)[::-1], "user": users, "item": items})
    with engines.opened(EngineSettings()) as engine:
        frames = list(engine.groups(engines.loaded(engine, "rows", rows), "row", ["user", "item"]))
    assert max(map(len, frames)) < 250
    assert all(frame.index.is_monotonic_increasing and list(frame.columns) == ["user", "item"] for frame in frames)
    whole = pd.concat(frames, keys=range(len(frames)), names=["frame", "row"]).reset_index()
    assert whole.drop(columns="frame").sort_values("row").values.tolist() == rows.to_pandas()[::-1].values.tolist()
    spread = whole.groupby(["user", "item"])["frame"].nunique()
    assert (spread == 1).all()
    frames_of = whole.groupby("user")["frame"].nunique()
    assert frames_of[0] > 4
    assert (frames_of > 1).mean() < 0.05  # those who fell beside that user


def test_a_table_is_divided_by_a_key_and_written_in_the_order_of_an_index(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "BLOCK_ROWS", 100)
    rng = np.random.default_rng(0)
    rows = pa.table({"user": rng.integers(0, 50, 3_000).astype(str), "index": rng.permutation(3_000)})
    with engines.opened(EngineSettings()) as engine:
        table = engines.loaded(engine, "rows", rows)
        by_user = engine.divided("by_user", table, "user")
        users = [set(piece.to_pyarrow()["user"].to_pylist()) for piece in by_user.pieces]
        assert len(users) > 4
        assert sum(map(len, users)) == len(set.union(*users)) == 50
        assert by_user.whole.order_by("index").to_pyarrow().equals(table.order_by("index").to_pyarrow())
        doubled = engine.kept_each("doubled", by_user.map(lambda piece: piece.mutate(double=piece["index"] * 2)))
        ranged = engine.ranged("ranged", doubled.whole, "index", size=3_000, count=8)
        ends = [
            (piece["index"].min().to_pyarrow().as_py(), piece["index"].max().to_pyarrow().as_py())
            for piece in ranged.pieces
        ]
        assert ends == [(375 * place, 375 * place + 374) for place in range(8)]
        some = ranged.map(lambda piece: piece.filter((piece["index"] < 200) | (piece["index"] >= 1_100)))
        engine.write(some, tmp_path / "some.parquet", ("index",), {"n": "index", "double": "double"}, "snappy")
    written = pq.read_table(tmp_path / "some.parquet")
    assert written["n"].to_pylist() == [*range(200), *range(1_100, 3_000)]
    assert written["double"].to_pylist() == [2 * n for n in written["n"].to_pylist()]


def test_a_small_table_is_one_piece_and_an_empty_one_is_a_file(tmp_path):
    rows = pa.table({"user": ["u", "v"], "index": [1, 0]})
    with engines.opened(EngineSettings()) as engine:
        table = engines.loaded(engine, "rows", rows)
        assert engine.divided("by_user", table, "user").pieces == (table,)
        assert len(engine.ranged("ranged", table, "index", size=2, count=1).pieces) == 1
        nobody = Partitioned.single(table.filter(table.user == "w"))
        engine.write(nobody, tmp_path / "empty.parquet", ("index",), engines.same(table.columns), "snappy")
    assert pq.read_table(tmp_path / "empty.parquet").equals(rows.slice(0, 0))


def test_what_a_killed_run_left_in_scratch_goes_and_what_a_running_one_has_stays(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own = f"{SCRATCH_NAME}{socket.gethostname()}"
    names = {number: f"{own}-{number}-x" for number in (dead.pid, os.getpid())}
    of_another_machine = f"{own}-{dead.pid}-4242-x"  # whose name ends in a number that is no process here
    for name in (*names.values(), of_another_machine):
        (tmp_path / name).mkdir()
    with engines.opened(EngineSettings(scratch=str(tmp_path))):
        assert not (tmp_path / names[dead.pid]).exists()
    assert {path.name for path in tmp_path.iterdir()} == {names[os.getpid()], of_another_machine}


def test_a_directory_that_looks_like_a_partition_is_none(tmp_path):
    folder = tmp_path / "day=2024-05-31"
    folder.mkdir()
    pq.write_table(pa.table({"a": [1, 2]}), folder / "table.parquet")
    with opened(EngineSettings()) as e:
        assert e.read(folder / "table.parquet", ["a"]).to_pyarrow()["a"].to_pylist() == [1, 2]
        assert e.read(folder / "table.parquet").columns == ("a",)


def test_settings_come_from_the_environment(monkeypatch):
    for name, value in {"ENGINE": "spark", "MEMORY_LIMIT": "4GB", "THREADS": "", "SPARK_CONF": '{"a.b": 3}'}.items():
        monkeypatch.setenv(f"BAKEOFF_{name}", value)
    found = engine_settings()
    assert (found.engine, found.memory_limit, found.threads, found.spark_conf) == ("spark", "4GB", None, {"a.b": 3})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ENGINE", "polars", r"BAKEOFF_ENGINE='polars': Input should be 'duckdb' or 'spark'"),
        ("THREADS", "0", r"BAKEOFF_THREADS='0': Input should be greater than 0"),
        ("MEMORY_LIMIT", "much", r"BAKEOFF_MEMORY_LIMIT='much': String should match"),
        ("SPARK_CONF", "a=b", r"BAKEOFF_SPARK_CONF: it must be a JSON object"),
    ],
)
def test_a_setting_that_is_not_allowed_is_named_with_its_value(monkeypatch, name, value, message):
    monkeypatch.setenv(f"BAKEOFF_{name}", value)
    with pytest.raises(BakeoffError, match=message):
        engine_settings()


def test_the_docs_list_every_setting():
    docs = (Path(__file__).parents[3] / "docs/settings.md").read_text(encoding="utf-8")
    for name, field in EngineSettings.model_fields.items():
        value = field.get_default(call_default_factory=True)
        default = "" if value in (None, {}) else f"`{value}`"
        assert f"| `{variable(name)}` | {default} | {' '.join((field.description or '').split())} |" in docs
