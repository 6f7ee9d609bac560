"""dataset.json: what it says comes back, as earlier versions wrote it too, and what makes no sense is refused."""

import json
from pathlib import Path

import pytest

from bakeoff.data.fetch.canonical_tables import About
from bakeoff.data.fetch.data_directory import read_about, write

HASHES = {"monday": "12ab", "friday": "34cd"}


def test_deliveries_come_back_in_the_order_in_which_they_were_taken(tmp_path: Path) -> None:
    write({}, About("shop", "Shop", taken_sha256=HASHES), tmp_path)
    assert list(read_about(tmp_path).taken_sha256.items()) == list(HASHES.items())


@pytest.mark.parametrize("damaged", [{"taken_sha256": 5}, {"taken": ["monday"]}, {"shape": 1}], ids=str)
def test_what_fetch_does_not_write_is_refused(tmp_path: Path, damaged: dict[str, object]) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "shop", "title": "Shop"} | damaged))
    with pytest.raises(ValueError, match=r"dataset.json is not one that fetch writes"):
        read_about(tmp_path)
