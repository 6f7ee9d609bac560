import hashlib
import socket
import time

import pytest

from bakeoff.data.fetch.download import SourceError, Transfer, download

QUICK = Transfer(connect_seconds=1, read_seconds=0.3, attempts=3, first_wait_seconds=0.01)


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def fetch(publisher, tmp_path):
    """Downloads what the publisher has; returns the bytes that arrive."""

    def run(expected=None, transfer=QUICK, progress=lambda *_: None):
        target = tmp_path / "a.zip"
        download(f"{publisher.url}/a.zip", target, expected or md5(publisher.content), transfer, progress)
        assert not (tmp_path / "a.zip.part").exists()
        return target.read_bytes()

    return run


def test_a_file_arrives_whole_in_one_request(publisher, fetch):
    assert fetch() == publisher.content
    assert publisher.asked == [None]


def test_progress_ends_at_the_size_of_the_file(publisher, fetch):
    told = []
    fetch(progress=lambda *state: told.append(state))
    assert told[-1] == (len(publisher.content), len(publisher.content))


def test_a_cut_download_is_continued_where_it_stopped(publisher, fetch):
    publisher.script = ["cut"]
    assert fetch() == publisher.content
    assert publisher.asked == [None, f"bytes={len(publisher.content) // 2}-"]


def test_what_an_earlier_run_left_is_continued(publisher, fetch, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(publisher.content[:1000])
    assert fetch() == publisher.content
    assert publisher.asked == ["bytes=1000-"]


def test_a_complete_part_needs_no_request(publisher, fetch, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(publisher.content)
    assert fetch() == publisher.content
    assert publisher.asked == []


def test_a_server_without_ranges_sends_the_file_anew(publisher, fetch, tmp_path):
    publisher.ranges = False
    (tmp_path / "a.zip.part").write_bytes(publisher.content[:1000])
    assert fetch() == publisher.content


def test_a_part_of_another_file_is_thrown_away(publisher, fetch, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"x" * 1000)
    assert fetch() == publisher.content
    assert publisher.asked == ["bytes=1000-", None]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(publisher, fetch, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"x" * (len(publisher.content) + 1))
    assert fetch() == publisher.content
    assert publisher.asked[-1] is None


def test_a_range_that_was_not_asked_for_is_not_appended(publisher, fetch, tmp_path):
    publisher.script = ["wrong range"]
    (tmp_path / "a.zip.part").write_bytes(publisher.content[:1000])
    assert fetch() == publisher.content
    assert publisher.asked == ["bytes=1000-", None]


def test_a_stall_is_ended_and_continued(publisher, fetch):
    publisher.script = ["stall"]
    assert fetch() == publisher.content
    assert publisher.asked == [None, f"bytes={len(publisher.content) // 2}-"]


def test_a_passing_server_error_is_retried(publisher, fetch):
    publisher.script = [500, 503]
    assert fetch() == publisher.content
    assert len(publisher.asked) == 3


def test_a_lasting_server_error_is_given_up_after_the_attempts(publisher, fetch):
    publisher.script = [500] * 9
    with pytest.raises(SourceError, match="answered 500"):
        fetch()
    assert len(publisher.asked) == QUICK.attempts


def test_a_missing_file_is_not_retried(publisher, fetch):
    publisher.script = [404] * 9
    with pytest.raises(SourceError, match=r"a\.zip answered 404 Not Found"):
        fetch()
    assert len(publisher.asked) == 1


def test_another_content_is_refused_with_both_checksums_and_leaves_nothing(publisher, fetch, tmp_path):
    publisher.script = ["another page"]
    with pytest.raises(SourceError, match=f"26 bytes.*md5 {md5(b'<html>Please log in</html>')} instead of") as caught:
        fetch()
    assert md5(publisher.content) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_beyond_the_size_limit_is_refused(publisher, fetch):
    with pytest.raises(SourceError, match="larger than 1,000 bytes"):
        fetch(transfer=Transfer(max_bytes=1000))


def test_a_transfer_beyond_the_time_limit_is_refused(fetch):
    with pytest.raises(SourceError, match="too slow"):
        fetch(transfer=Transfer(total_seconds=0))


def test_a_refused_connection_fails_at_once(tmp_path):
    with socket.socket() as taken:  # bound but not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        started = time.monotonic()
        with pytest.raises(SourceError, match="cannot be reached"):
            download(f"http://127.0.0.1:{taken.getsockname()[1]}/a.zip", tmp_path / "a.zip", "0" * 32, Transfer())
    assert time.monotonic() - started < 2


def test_a_password_in_an_address_is_not_shown(publisher, tmp_path):
    publisher.script = [404]
    url = publisher.url.replace("//", "//me:secret@") + "/a.zip"
    with pytest.raises(SourceError, match=r"^http://127\.0\.0\.1:\d+/a\.zip answered 404"):
        download(url, tmp_path / "a.zip", "0" * 32, QUICK)


@pytest.mark.parametrize("url", ["no address/a.zip", "ftp://127.0.0.1/a.zip", "http://[/a.zip"])
def test_an_address_that_is_none_is_refused(url, tmp_path):
    with pytest.raises(SourceError, match="cannot be reached"):
        download(url, tmp_path / "a.zip", "0" * 32, QUICK)
