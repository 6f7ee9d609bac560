"""A server that breaks off each time: what came is never taken for the whole, and is where the next attempt goes on."""

import hashlib
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bakeoff.data.fetch.download import SourceError, Transfer, download

CONTENT = bytes(range(256)) * 400
PIECE = 30_000
TWICE = Transfer(connect_seconds=5, read_seconds=5, attempts=2, first_wait_seconds=0.01)


class Breaking(BaseHTTPRequestHandler):
    """Promises all that is missing, and sends a piece of it."""

    def do_GET(self) -> None:
        asked = re.search(r"\d+", self.headers.get("Range", ""))
        start = int(asked[0]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(CONTENT[start : start + PIECE])
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Breaking) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/a.zip"
        server.shutdown()
        thread.join()


def test_a_download_that_is_cut_each_time_is_no_file_and_the_next_goes_on(url: str, tmp_path: Path) -> None:
    target, md5 = tmp_path / "a.zip", hashlib.md5(CONTENT).hexdigest()
    with pytest.raises(SourceError, match=r"a\.zip cannot be reached: peer closed connection without sending complete"):
        download(url, target, md5, TWICE)
    assert not target.exists()
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[: 2 * PIECE]
    download(url, target, md5, TWICE)
    assert target.read_bytes() == CONTENT
