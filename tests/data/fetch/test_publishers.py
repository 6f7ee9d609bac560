import dataclasses
import hashlib
import importlib.util
import random
import socket
import subprocess
import time
from pathlib import Path

import pytest
from csv_bytes import as_csv

from bakeoff.core.errors import BakeoffError
from bakeoff.data.datasets.movielens import ML_1M, ML_100K
from bakeoff.data.fetch import publishers as module
from bakeoff.data.fetch.publishers import Source, SourceError, datasets, download, obtain

MEMBER, CONTENT = "folder/member", random.Random(0).randbytes(100_000)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Pooch waits a second and more before it tries again."""
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    monkeypatch.setattr(module, "TIMEOUT", (1, 0.3))
    monkeypatch.setattr(module, "RETRIES", 1)


def md5(content):
    return hashlib.md5(content).hexdigest()


def source(url, expected):
    return Source("the publisher", url, f"md5:{expected}", (MEMBER,), lambda _: None)


@pytest.fixture
def fetch(publisher, zipped, tmp_path, monkeypatch):
    """Downloads an archive of the publisher; returns the content of its member."""
    publisher.content = zipped({MEMBER: CONTENT, "other": b"x"})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(expected=None):
        wanted = source(f"{publisher.url}/a.zip", expected or md5(publisher.content))
        return download(wanted)["member"]

    return run


def test_a_file_arrives_whole_in_one_request_and_is_not_kept(publisher, fetch, tmp_path):
    assert fetch() == CONTENT
    assert publisher.asked == [None]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["cut", "stall", 500, "another page"])
def test_what_may_pass_is_tried_again(publisher, fetch, fault):
    publisher.script = [fault]
    assert fetch() == CONTENT
    assert len(publisher.asked) == 2


def test_a_lasting_server_error_is_given_up_after_the_attempts(publisher, fetch):
    publisher.script = [500] * 9
    with pytest.raises(SourceError, match=r"a\.zip answered 500"):
        fetch()
    assert len(publisher.asked) == 2


@pytest.mark.parametrize("fault", ["cut", "another page"])
def test_a_download_that_fails_each_time_leaves_nothing(publisher, fetch, tmp_path, fault):
    publisher.script = [fault] * 2
    with pytest.raises(SourceError):
        fetch()
    assert list(tmp_path.iterdir()) == []


def test_another_content_is_refused_with_both_hashes(publisher, fetch):
    publisher.script = ["another page"] * 2
    with pytest.raises(SourceError, match=md5(b"<html>Please log in</html>")) as caught:
        fetch()
    assert md5(publisher.content) in str(caught.value)


def test_a_refused_connection_fails_soon():
    with socket.socket() as taken:  # bound but not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        started = time.monotonic()
        with pytest.raises(SourceError, match="cannot be reached"):
            download(source(f"http://127.0.0.1:{taken.getsockname()[1]}/a.zip", "0" * 32))
    assert time.monotonic() - started < 5


def test_a_password_in_an_address_is_not_shown(publisher):
    publisher.script = [404] * 2
    url = publisher.url.replace("//", "//me:secret@") + "/a.zip"
    with pytest.raises(SourceError, match=r"^http://127\.0\.0\.1:\d+/a\.zip answered 404"):
        download(source(url, "0" * 32))


@pytest.mark.parametrize("url", ["no address/a.zip", "ftp://127.0.0.1/a.zip", "http://[/a.zip"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(SourceError, match="cannot be reached"):
        download(source(url, "0" * 32))


@pytest.fixture
def dataset(publisher, published_files, mirrored_files, zipped, monkeypatch):
    """MovieLens 100K as the publisher on loopback has it, and a package registry that has its wheel."""
    publisher.content = zipped({f"ml-100k/{name}": content for name, content in published_files.items()})
    monkeypatch.setenv("BAKEOFF_MOVIELENS_URL", publisher.url)
    wheel = zipped({f"recbole/dataset_example/ml-100k/{name}": text for name, text in mirrored_files.items()})
    monkeypatch.setattr(module, "_download_wheel", lambda _, path, __: Path(path).write_bytes(wheel))
    archive, mirror = ML_100K.sources
    hashes = (f"md5:{md5(publisher.content)}", f"md5:{md5(wheel)}")
    sources = tuple(
        dataclasses.replace(each, known_hash=known) for each, known in zip((archive, mirror), hashes, strict=True)
    )
    return dataclasses.replace(ML_100K, sources=sources)


def written(tables):
    return {name: as_csv(table).encode() for name, table in tables.items()}


def test_the_publisher_is_tried_first_and_named(dataset, publisher):
    tables, where = obtain(dataset)
    assert tables["interactions"].num_rows == 3
    assert where == f"the publisher ({publisher.url}/ml-100k.zip)"


@pytest.mark.parametrize("answers", [[404] * 2, [500] * 2, ["another page"] * 2, ["stall"] * 2])
def test_when_the_publisher_fails_the_mirror_gives_the_same_bytes(dataset, publisher, answers):
    expected, _ = obtain(dataset)
    publisher.script = answers
    said = []
    tables, where = obtain(dataset, said.append)
    assert written(tables) == written(expected)
    assert where == "the package mirror (pip:recbole==1.2.1)"
    assert publisher.url in said[0]
    assert "package mirror" in said[0]


def test_when_all_fail_all_are_named(dataset, publisher, monkeypatch):
    def refuse(*_):
        raise SourceError("pip could not download it")

    monkeypatch.setattr(module, "_download_wheel", refuse)
    publisher.script = [404] * 2
    with pytest.raises(BakeoffError, match=r"(?s)publisher: .*404.*mirror: pip could not.*BAKEOFF_MOVIELENS_URL"):
        obtain(dataset)


def test_an_archive_without_the_expected_members_is_refused(dataset, publisher, zipped):
    publisher.content = zipped({"other": b""})
    first = dataclasses.replace(dataset.sources[0], known_hash=f"md5:{md5(publisher.content)}")
    with pytest.raises(BakeoffError, match=r"ml-100k\.zip is not the archive that was expected"):
        obtain(dataclasses.replace(dataset, sources=(first,)))


def test_a_wheel_that_the_registry_has_not_is_refused_with_what_pip_says(tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceError, match=r"(?s)pip could not download recbole==1\.2\.1:.*No matching dist"):
        download(ML_100K.sources[1])


def test_without_pip_a_throwaway_environment_has_one(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    command = module._pip(tmp_path)
    assert command[0].startswith(str(tmp_path))
    assert subprocess.run([*command, "--version"], capture_output=True, text=True).stdout.startswith("pip ")


def test_over_the_network_the_real_mirror_gives_the_pinned_tables():
    # The one test that needs a package registry: pip downloads the pinned wheel (2 MB).
    tables, _ = obtain(dataclasses.replace(ML_100K, sources=ML_100K.sources[1:]))
    got = {name: hashlib.sha256(content).hexdigest() for name, content in written(tables).items()}
    assert got == ML_100K.sha256


def test_data_sets_are_found_by_their_modules():
    assert datasets() == {"ml-100k": ML_100K, "ml-1m": ML_1M}
