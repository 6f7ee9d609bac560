"""Download over HTTP: bounded in time and size, retried where that can help, resumed where possible."""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import stamina

from bakeoff.core.errors import BakeoffError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and, if known, the bytes that will be."""


class SourceError(BakeoffError):
    """A source could not deliver; another one may."""


@dataclass(frozen=True)
class Transfer:
    """Limits of a download."""

    connect_seconds: float = 5.0
    """A publisher that does not answer within this is not reachable: no retry, the next source is asked."""
    read_seconds: float = 10.0
    """Longest silence within a transfer."""
    total_seconds: float = 900.0
    """Longest transfer, however many attempts it takes."""
    attempts: int = 3
    """Attempts per download, for faults that may pass: a stall, a cut connection, 408, 429, 5xx."""
    first_wait_seconds: float = 0.5
    """Wait before the second attempt; doubles from there."""
    max_bytes: int = 64 * 2**20
    """Largest file accepted."""


def download(url: str, target: Path, md5: str, transfer: Transfer, progress: Progress = lambda *_: None) -> None:
    """Download to `target`, through `target`.part, which a later call resumes if this one is cut off.

    A file that was put together from several requests and does not match is downloaded once more from the
    start.

    Args:
        url: where the file lies.
        target: where to put it; its directory exists.
        md5: the checksum that the publisher states, in hex.
        transfer: limits.
        progress: told of every piece that arrives.

    Raises:
        SourceError: the server cannot be reached or refuses, or the file is too large or not the expected
            one.
    """
    part = target.with_name(target.name + ".part")
    if part.is_symlink() or (part.exists() and not part.is_file()):
        part.unlink()  # neither written through nor waited for
    deadline = time.monotonic() + transfer.total_seconds
    with httpx.Client(
        timeout=httpx.Timeout(transfer.read_seconds, connect=transfer.connect_seconds),
        follow_redirects=True,
        headers={"Accept-Encoding": "identity"},
    ) as client:
        resumed = _is(part, md5) or _fill(client, url, part, transfer, deadline, progress)
        if resumed and not _is(part, md5):
            part.unlink()
            _fill(client, url, part, transfer, deadline, progress)
    if not _is(part, md5):
        size, got = part.stat().st_size, file_md5(part)
        part.unlink()
        raise SourceError(
            f"{shown(url)} delivered something else than expected ({size:,} bytes): "
            f"md5 {got} instead of {md5}. The publisher replaced the file, or a proxy on the way answers "
            "in its name."
        )
    part.replace(target)


def shown(url: str) -> str:
    """An address as messages may show it: without a user's name and password."""
    return re.sub(r"//[^/@]*@", "//", url)


def file_md5(path: Path) -> str:
    """MD5 of a file in hex: publishers state it. Against malice, tables are checked by SHA-256 later."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _is(path: Path, md5: str) -> bool:
    return path.exists() and file_md5(path) == md5


def _fill(client: httpx.Client, url: str, part: Path, transfer: Transfer, deadline: float, progress: Progress) -> bool:
    """Complete `part`; returns whether some of it came from an earlier request."""
    resumed = False
    try:
        for attempt in stamina.retry_context(
            on=_may_pass,
            attempts=transfer.attempts,
            timeout=None,
            wait_initial=transfer.first_wait_seconds,
            wait_jitter=0,
        ):
            with attempt:
                resumed = _request(client, url, part, transfer, deadline, progress)
    except httpx.HTTPStatusError as error:
        status = error.response
        raise SourceError(f"{shown(url)} answered {status.status_code} {status.reason_phrase}.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(f"{shown(url)} cannot be reached: {str(error) or type(error).__name__}.") from None
    return resumed


def _may_pass(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    lasting = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
    return isinstance(error, httpx.TransportError) and not isinstance(error, lasting)


def _request(
    client: httpx.Client, url: str, part: Path, transfer: Transfer, deadline: float, progress: Progress
) -> bool:
    """Ask for what `part` lacks; returns whether the answer continued it."""
    have = part.stat().st_size if part.exists() else 0
    with client.stream("GET", url, headers={"Range": f"bytes={have}-"} if have else {}) as response:
        if have and not _answers_range(response, have):
            part.unlink()
            raise httpx.RemoteProtocolError("the server refused to continue the download")
        response.raise_for_status()
        if response.status_code != 206:
            have = 0  # the server sends the whole file
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        _refuse_large(url, total or 0, transfer.max_bytes)
        with part.open("ab" if have else "wb") as stream:
            done = have
            for chunk in response.iter_raw():  # as they come: waiting for a full one would put off the deadline
                done += len(chunk)
                _refuse_large(url, done, transfer.max_bytes)
                stream.write(chunk)
                progress(done, total)
                if time.monotonic() > deadline:
                    raise SourceError(f"{shown(url)} is too slow: not complete after {transfer.total_seconds:.0f} s.")
    return have > 0


def _answers_range(response: httpx.Response, start: int) -> bool:
    if response.status_code == 416:
        return False
    wrong_piece = not response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    return not (response.status_code == 206 and wrong_piece)


def _refuse_large(url: str, size: int, limit: int) -> None:
    if size > limit:
        raise SourceError(f"{shown(url)} is larger than {limit:,} bytes: refused, it is not the expected file.")
