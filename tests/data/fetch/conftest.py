"""A publisher on loopback that misbehaves on request, and a tiny MovieLens in both of its formats."""

import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Publisher:
    """Serves `content` at every path; `script` says how to answer each request in turn, then normally."""

    def __init__(self):
        self.content = bytes(range(256)) * 1024
        self.ranges = True
        self.script = []
        self.asked = []  # the Range header of each request, None without one
        self.release = threading.Event()
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                publisher.asked.append(self.headers.get("Range"))
                publisher.answer(self, publisher.script.pop(0) if publisher.script else "normal")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def answer(self, request, how):
        if isinstance(how, int):
            request.send_error(how)
            return
        content = b"<html>Please log in</html>" if how == "another page" else self.content
        start = 0
        if request.headers.get("Range") and self.ranges:
            start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                request.send_error(416)
                return
            request.send_response(206)
            stated = start + 1 if how == "wrong range" else start
            request.send_header("Content-Range", f"bytes {stated}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        piece = content[start:]
        request.wfile.write(piece[: len(piece) // 2] if how in ("cut", "stall") else piece)
        if how == "stall":
            request.wfile.flush()
            self.release.wait(10)

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def publisher():
    running = Publisher()
    running.thread.start()
    yield running
    running.close()


# 267 and 1412 carry the faults of the real mirror: a misspelt title, repeated as the year; "V" as the year.
# 3 has no genre but "unknown"; 2 ends its title with a blank after the year; 30 is not ASCII.
PUBLISHED_ITEMS = (
    "1|Usual Thing, The (1995)|01-Jan-1995||http://x/1|" + "|".join("0101000000000000000"),
    "2|Madam: A Life (1996) |01-Jan-1996||http://x/2|" + "|".join("0000000100000000000"),
    "3|Good Evening (1971)|04-Feb-1971||http://x/3|" + "|".join("1000000000000000000"),
    "30|Été, L' (Summer, The) (1968)|01-Jan-1968||http://x/30|" + "|".join("0000000010010000000"),
    "267|unknown||||" + "|".join("1000000000000000000"),
    "1412|Land After Time (1995) (V)|01-Jan-1995||http://x/1412|" + "|".join("0001000000000000000"),
)
MIRRORED_ITEMS = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
    "1\tUsual Thing, The\t1995\tAction Animation",
    "2\tMadam: A Life\t1996\tDocumentary",
    "3\tGood Evening\t1971\tunknown",
    "30\tÉté, L' (Summer, The)\t1968\tDrama Horror",
    "267\tunkonwn\tunkonwn\tunknown",
    "1412\tLand After Time (1995)\tV\tAnimation",
)
RATINGS = ("2\t30\t5\t881250949", "10\t1\t3\t881250950", "1\t1412\t1\t881250948")
USERS = ("1|24|M|technician|85711", "2|53|F|other|00943", "10|7|M|student|T8H1N")


def lines(rows, encoding="utf-8"):
    return "".join(f"{row}\n" for row in rows).encode(encoding)


@pytest.fixture
def published_files():
    """u.data, u.user, u.item as the publisher writes them."""
    return {
        "u.data": lines(RATINGS),
        "u.user": lines(USERS),
        "u.item": lines(PUBLISHED_ITEMS, "latin-1"),
    }


@pytest.fixture
def mirrored_files():
    """ml-100k.inter, .user, .item as the package mirror writes them."""
    interactions = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    users = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"
    return {
        "ml-100k.inter": lines((interactions, *RATINGS)),
        "ml-100k.user": lines((users, *(row.replace("|", "\t") for row in USERS))),
        "ml-100k.item": lines(MIRRORED_ITEMS),
    }


@pytest.fixture
def zipped():
    """Bytes of a zip archive with the given members."""

    def make(members):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return stream.getvalue()

    return make
