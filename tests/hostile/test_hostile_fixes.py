"""Hostile input that reaches code outside of the readers: pipes, links, names of features, overrides, terminals."""

import io
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_texts import FEATURE
from hypothesis import given, settings
from hypothesis import strategies as st
from own_tables import read_directory

from bakeoff import cli
from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.params import ColumnParams, DataParams
from bakeoff.models.neural.spec import SoftmaxParams
from bakeoff.ops import recommend
from bakeoff.params import load_params, parse_params
from bakeoff.stages import validate

DATA = DataParams(dataset="x", columns=ColumnParams(timestamp=None, title=None))


def test_a_pipe_in_the_place_of_a_table_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pipe = tmp_path / "data/interactions.csv"
    os.mkfifo(pipe)

    writer = threading.Thread(target=pipe.write_bytes, args=(b"user_id,item_id\n1,2\n",))
    writer.start()  # without it a reader that waits would wait for ever
    try:
        with pytest.raises(BakeoffError, match="is not a regular file"):
            validate.run(parse_params({}), Workspace(tmp_path))
    finally:
        # Open until the writer is done: one that opens the pipe after its last reader has gone would wait for the next.
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        writer.join()
        os.close(reader)


def test_a_file_that_is_but_a_byte_order_mark_is_empty(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(BakeoffError, match="is empty"):
        read_directory(tmp_path, DATA)


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"user_id": ["one", "two"], "item_id": [1.0, 2.0], "tags": [["a"], ["b", "c"]]}), stream)
    return stream.getvalue()


SOUND = parquet()
CHANGES = st.tuples(st.integers(0, len(SOUND) - 1), st.binary(max_size=4), st.integers(0, 6))


def test_a_text_in_parquet_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "interactions.parquet").write_bytes(SOUND.replace(b"two", b"t\xffo"))
    with pytest.raises(BakeoffError, match="not a Parquet file that can be read"):
        read_directory(tmp_path, DATA)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, len(SOUND) - 1), st.binary(max_size=4), st.integers(0, 6)), min_size=1, max_size=3
    )
)
def test_any_damage_to_parquet_is_refused_or_gives_a_table(tmp_path_factory, changes) -> None:
    content = bytearray(SOUND)
    for place, put, taken in changes:
        content[place : place + taken] = put
    directory = tmp_path_factory.mktemp("damaged")
    (directory / "interactions.parquet").write_bytes(content)
    try:
        tables = read_directory(directory, DATA)
    except BakeoffError:
        return
    assert tables["interactions"].validate(full=True) is None


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "${oc.env:NOPE}", "9" * 5000], ids=["set", "unset", "digits"])
def test_an_override_is_replaced_by_nothing_of_the_environment(tmp_path: Path, value: str) -> None:
    from bakeoff.flows.experiment import check_overrides  # loads Prefect, which few tests need

    (tmp_path / "params.yaml").write_text("seed: 1\ndata: {dataset: x}\n")
    with pytest.raises(BakeoffError, match=r"write the value itself|more than 1,000 characters"):
        check_overrides([f"data.dataset={value}"], tmp_path)


def test_an_error_obeys_no_file_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise BakeoffError("one \x1b[31m\n  two \u202egnp")

    monkeypatch.setattr("bakeoff.cli.app.app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "error: one \\x1b[31m\n  two \\u202egnp\n"


def test_a_title_obeys_nothing_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    import pandas as pd

    titles = pd.Series({"i\x1b[31m": "a\x1b]0;owned\x07"})
    recommend._print("mf", titles, titles, np.array([1.0]), [], "")
    assert "\x1b]0" not in capsys.readouterr().out


def test_an_empty_list_of_cutoffs_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("evaluate: {cutoffs: []}\n")
    with pytest.raises(BakeoffError, match=r"evaluate\.cutoffs: .*at least 1 item"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("feature", [FEATURE, "a b", "жанр", "$(touch x)", "país"])
def test_a_feature_may_have_any_name(feature: str) -> None:
    import tensorflow as tf

    from bakeoff.models.neural.query_tower import QueryTower

    tower = QueryTower(SoftmaxParams(dim=4, hidden=(4,)), {"gender": 2, feature: 3}, 1)
    heads, activity = tf.zeros([2, 4, 4]), tf.zeros([2, 3])
    asked = tf.function(lambda: tower(heads, activity, tf.zeros([2, 0]), tf.zeros([2, 2], tf.int32)))
    assert asked().shape == (2, 4)
