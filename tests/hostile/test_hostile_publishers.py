"""Files of publishers with any damage: read, or refused with a sentence, and never an exception of another kind."""

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.core.errors import BakeoffError
from bakeoff.data.datasets.movielens import from_publisher_1m, from_publisher_100k
from bakeoff.data.fetch.own import read_adjacency

MILLION = {
    "ratings.dat": b"10::2::5::978300760\n9::1::3::978302109\n",
    "users.dat": b"9::F::1::10::48067\n10::M::56::16::70072-1234\n",
    "movies.dat": b"1::Love (1968)::Drama|War\n2::Jumanji (1995)::Children's\n",
}
HUNDRED = {
    "u.data": b"2\t30\t5\t881250949\n10\t1\t3\t881250950\n",
    "u.user": b"2|53|F|other|00943\n10|7|M|student|T8H1N\n",
    "u.item": b"1|Thing, The (1995)|01-Jan-1995||http://x|" + b"|".join([b"0"] * 18 + [b"1"]) + b"\n"
    b"30|Summer (1968)|01-Jan-1968||http://x|" + b"|".join([b"0"] * 19) + b"\n",
}
READERS = {"1m": (from_publisher_1m, MILLION), "100k": (from_publisher_100k, HUNDRED)}
PIECES = st.binary(max_size=12) | st.sampled_from(
    [b"::", b"|", b"\t", b"\n", b"\r", b"\0", b"\xff", b'"', b"-1", b"1e99"]
)


@st.composite
def damage(draw: st.DrawFn, whole: bytes) -> bytes:
    """Some bytes are replaced by others."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, len(whole)))
    return whole[:start] + draw(PIECES) + whole[end:]


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_movielens_with_any_damage_is_read_or_refused(name: str, data: st.DataObject) -> None:
    read, files = READERS[name]
    hurt = data.draw(st.sampled_from(sorted(files)))
    with suppress(BakeoffError):
        tables = read(files | {hurt: data.draw(damage(files[hurt]))})
        assert tables["interactions"].column_names[:2] == ["user_id", "item_id"]


@given(train=damage(b"0 1 2\n1 3\n2\n"), test=damage(b"0 3\n1 1 2\n"))
def test_published_splits_with_any_damage_are_read_or_refused(train: bytes, test: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.txt").write_bytes(train)
        (Path(folder) / "test.txt").write_bytes(test)
        with suppress(BakeoffError):
            assert {"user_id", "item_id"} < set(read_adjacency(Path(folder)).column_names)
