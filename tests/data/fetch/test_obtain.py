import dataclasses
import hashlib
import importlib.util
import subprocess

import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.catalogue import ML_1M, ML_100K
from bakeoff.data.fetch.download import SourceError, Transfer
from bakeoff.data.fetch.mirror import Wheel, _pip, download_wheel
from bakeoff.data.fetch.obtain import obtain
from bakeoff.data.fetch.tables import csv_blocks

QUICK = Transfer(connect_seconds=1, read_seconds=0.3, attempts=2, first_wait_seconds=0.01)


@pytest.fixture
def dataset(publisher, published_files, zipped):
    """MovieLens 100K as the publisher on loopback has it."""
    publisher.content = zipped({f"ml-100k/{name}": content for name, content in published_files.items()})
    md5 = hashlib.md5(publisher.content).hexdigest()
    return dataclasses.replace(ML_100K, md5=md5)


@pytest.fixture
def get_wheel(mirrored_files, zipped):
    """Stands in for pip: puts a file like the mirror's wheel where it would."""

    def write(wheel, directory):
        assert list(directory.iterdir()) == []
        path = directory / "a.whl"
        path.write_bytes(
            zipped({f"recbole/dataset_example/ml-100k/{name}": text for name, text in mirrored_files.items()})
        )
        return path

    return write


def no_wheel(*_):
    raise SourceError("pip could not download it")


def written(tables):
    return {name: b"".join(csv_blocks(table)) for name, table in tables.by_name().items()}


def test_the_publisher_is_asked_first_and_named(dataset, publisher, tmp_path):
    tables, source = obtain(dataset, publisher.url, tmp_path / "new", QUICK, get_wheel=no_wheel)
    assert tables.interactions.num_rows == 3
    assert source == f"the publisher ({publisher.url}/ml-100k.zip)"


def test_the_archive_is_not_kept(dataset, publisher, tmp_path):
    obtain(dataset, publisher.url, tmp_path, QUICK, get_wheel=no_wheel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answers", [[404], [500] * 5, ["another page"], ["stall"] * 5])
def test_when_the_publisher_fails_the_mirror_gives_the_same_bytes(dataset, publisher, get_wheel, tmp_path, answers):
    expected, _ = obtain(dataset, publisher.url, tmp_path, QUICK)
    publisher.script = answers
    said = []
    tables, source = obtain(dataset, publisher.url, tmp_path, QUICK, say=said.append, get_wheel=get_wheel)
    assert written(tables) == written(expected)
    assert source == "the package mirror (recbole==1.2.1)"
    assert publisher.url in said[0]
    assert "package mirror" in said[0]


def test_an_unreachable_publisher_leads_to_the_mirror_at_once(dataset, publisher, get_wheel, tmp_path):
    publisher.server.server_close()  # the port now refuses connections
    tables, source = obtain(dataset, publisher.url, tmp_path, QUICK, get_wheel=get_wheel)
    assert "mirror" in source
    assert tables.items.num_rows == 6


def test_when_both_fail_both_are_named(dataset, publisher, tmp_path):
    publisher.script = [404]
    with pytest.raises(BakeoffError, match=r"(?s)Publisher: .*404.*mirror: pip could not.*BAKEOFF_MOVIELENS_URL"):
        obtain(dataset, publisher.url, tmp_path, QUICK, get_wheel=no_wheel)


def test_a_data_set_without_a_mirror_says_so(publisher, tmp_path):
    publisher.script = [404]
    with pytest.raises(BakeoffError, match=r"(?s)404.*no other source.*ml-1m\.zip"):
        obtain(ML_1M, publisher.url, tmp_path, QUICK, get_wheel=no_wheel)


def test_a_broken_download_is_kept_for_the_next_attempt(publisher, tmp_path):
    publisher.script = ["cut", 404]
    with pytest.raises(BakeoffError):
        obtain(ML_1M, publisher.url, tmp_path, QUICK)
    assert (tmp_path / "ml-1m.zip.part").stat().st_size == len(publisher.content) // 2


def test_a_folder_that_cannot_be_written_is_named(dataset, publisher, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BakeoffError, match=r"cannot be written to .*file"):
        obtain(dataset, publisher.url, tmp_path / "file", QUICK)


def test_a_wheel_that_the_registry_has_not_is_refused_with_what_pip_says(tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceError, match=r"(?s)pip could not download recbole==1\.2\.1:.*No matching dist"):
        download_wheel(Wheel("recbole==1.2.1", "0" * 64), tmp_path)


def test_without_pip_a_throwaway_environment_has_one(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    command = _pip(tmp_path)
    assert command[0].startswith(str(tmp_path))
    assert subprocess.run([*command, "--version"], capture_output=True, text=True).stdout.startswith("pip ")


def test_over_the_network_the_real_mirror_gives_the_pinned_tables(tmp_path):
    # The one test that needs a package registry: pip downloads the pinned wheel (2 MB).
    unreachable = "http://127.0.0.1:1"
    tables, _ = obtain(ML_100K, unreachable, tmp_path, QUICK)
    got = {name: hashlib.sha256(content).hexdigest() for name, content in written(tables).items()}
    assert got == ML_100K.sha256
