"""Archives and servers that mean harm: refused in words, bounded, and nothing is written elsewhere."""

import io
import stat
import threading
import tracemalloc
import warnings
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch import archive
from bakeoff.data.fetch.archive import read_members
from bakeoff.data.fetch.download import SourceError, Transfer, download
from bakeoff.data.fetch.mirror import Wheel, download_wheel


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that occur twice are meant
        for name, content in members:
            opened.writestr(name, content)
    return stream.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.create_system = 3
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def encrypted(content: bytes) -> bytes:
    """The flag is set in both headers: nothing else tells an encrypted member."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[changed.index(signature) + offset] |= 1
    return bytes(changed)


ESCAPES = ["../x/one", "/x/one", "C:\\x\\one", "..\\x\\one", "x/../x/one", "x/one/../../one"]
ARCHIVES = {
    "names that lead elsewhere": (zipped(*((name, b"evil") for name in ESCAPES)), "has no member x/one"),
    "a link": (zipped((link("x/one"), b"/etc/passwd")), "x/one in a.zip is a link"),
    "a name twice": (zipped(("x/one", b"1"), ("x/one", b"2")), "x/one in a.zip is there more than once"),
    "encrypted": (encrypted(zipped(("x/one", b"1"))), "x/one in a.zip is encrypted"),
    "packed by bzip2": (zipped(("x/one", b"0" * 10**6), method=zipfile.ZIP_BZIP2), "method that is not expected"),
    "packed by LZMA": (zipped(("x/one", b"0" * 10**6), method=zipfile.ZIP_LZMA), "method that is not expected"),
    "a bomb within": (zipped(("x/one", zipped(("y", b"0" * 9_000_000)) * 200)), "unpacks to more than 1,000,000"),
    "a page": (b"<html>Please log in</html>", "is damaged or not a zip"),
    "nothing": (b"", "is damaged or not a zip"),
    "half of one": (zipped(("x/one", b"content" * 99))[:-30], "is damaged or not a zip"),
}


@pytest.mark.parametrize(("content", "message"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_that_is_not_the_expected_one_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(BakeoffError, match=message):
        read_members(path, ["x/one"], max_bytes=1_000_000)
    assert list(tmp_path.iterdir()) == [path]


def test_a_bomb_takes_no_more_memory_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(("x/one", b"0" * 50_000_000)))
    tracemalloc.start()
    with pytest.raises(BakeoffError, match="unpacks to more than"):
        read_members(path, ["x/one"], max_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_large_archive_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(("x/one", b"1")))
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 10)
    with pytest.raises(BakeoffError, match="larger than 10 bytes"):
        read_members(path, ["x/one"])


SOUND = zipped(("x/one", b"hello world " * 20), ("x/two", b"abc"))


@settings(max_examples=40)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.binary(max_size=4), st.integers(0, 4)), max_size=3),
    method=st.sampled_from([0, 8, 12, 14, 99]),
)
def test_any_damage_is_refused_or_does_no_harm(tmp_path_factory, changes, method) -> None:
    content = bytearray(SOUND)
    content[8] = content[content.index(b"PK\x01\x02") + 10] = method
    for place, put, taken in changes:
        content[place : place + taken] = put
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(content)
    try:
        members = read_members(path, ["x/one", "x/two"], max_bytes=1000)
    except BakeoffError:
        return
    assert members == {"one": b"hello world " * 20, "two": b"abc"}


class Trickle(BaseHTTPRequestHandler):
    """Sends a byte now and then: never silent, never done."""

    stop = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while not self.stop.wait(0.02):
                self.wfile.write(b"0")
        except OSError:
            return  # the other side has gone, as it should

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_that_trickles_is_given_up(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Trickle) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        limits = Transfer(read_seconds=60, total_seconds=0.2)
        try:
            with pytest.raises(SourceError, match="too slow"):
                download(f"http://127.0.0.1:{server.server_port}/a", tmp_path / "a", "0" * 32, limits)
        finally:
            Trickle.stop.set()
            server.shutdown()
            thread.join()


def test_a_download_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "a.zip.part").symlink_to(victim)
    with pytest.raises(SourceError):
        download("http://127.0.0.1:1/a.zip", tmp_path / "a.zip", "0" * 32, Transfer(connect_seconds=1))
    assert victim.read_text() == "kept"
    assert not (tmp_path / "a.zip.part").is_symlink()


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], directory: Path, _: str) -> None:
        (directory / "wheels").mkdir()
        (directory / "wheels/evil-1-py3-none-any.whl").write_bytes(SOUND)

    monkeypatch.setattr("bakeoff.data.fetch.mirror._pip", lambda _: ["pip"])
    monkeypatch.setattr("bakeoff.data.fetch.mirror._run", pip)
    with pytest.raises(SourceError, match="something else than x==1 with sha256 00"):
        download_wheel(Wheel("x==1", "0" * 64), tmp_path)
