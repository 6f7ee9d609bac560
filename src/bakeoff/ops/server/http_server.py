"""The HTTP server: uvicorn on a bound socket, with limits per client, that ends without dropping requests."""

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bakeoff.core.errors import BakeoffError

MAX_BODY = 4 << 20
"""Bytes of a request's body: a full batch with histories of about a thousand items each. Routes answer 413 to a larger
length; a connection on which more arrives is closed."""

MAX_HEADERS = 64 << 10
"""Bytes of a request's line and headers."""

REQUEST_SECONDS = 20.0
"""Time in which a whole request must arrive, from its first byte or, for the first one, from the connection."""

ANSWER_SECONDS = 60.0
"""Time in which a client must take an answer, which waits in memory until then: the largest have some 15 MB."""

MAX_CONNECTIONS = 2_048
"""Open connections; beyond them requests are answered with 503."""

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than a load balancer keeps one, so that it is never the server
that closes a connection on which the next request is already under way."""

LONGEST_END = 30
"""Seconds in which requests that are being answered may end."""


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which ends a connection whose client does not send a request or take an answer in time.

    uvicorn limits the time between requests, but not that within one: a client that sends half a request, or reads
    nothing, would hold a connection for as long as it likes. `on_message_begin` and `on_message_complete` are callbacks
    of httptools' parser, `pause_writing` and `resume_writing` are the transport's.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """See `HttpToolsProtocol`."""
        super().__init__(*arguments, **options)
        self._unread: asyncio.TimerHandle | None = None
        self._expect_request()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Hear of every answer that the client does not take at once, not of large ones alone."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        """Count what arrives; no more is read of a request that has no end."""
        if self._deadline.cancelled():
            self._expect_request()
        self._received += len(data)
        if self._received > MAX_BODY + MAX_HEADERS:
            self.transport.close()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request that arrives together with the one before it has a deadline of its own."""
        if self._deadline.cancelled():
            self._expect_request()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The whole request is here: the rest is the server's time."""
        self._deadline.cancel()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Something of an answer waits until the client reads."""
        super().pause_writing()
        self._unread = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)  # close() would wait as well

    def resume_writing(self) -> None:
        """All is written."""
        self._answer_is_taken()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._deadline.cancel()
        self._answer_is_taken()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._received = 0
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._request_is_late)

    def _request_is_late(self) -> None:
        if self.flow.read_paused:  # until the server has answered an earlier request: the client may have sent it all
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._request_is_late)
        else:
            self.transport.close()

    def _answer_is_taken(self) -> None:
        if self._unread is not None:
            self._unread.cancel()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        BakeoffError: the address is taken, not this machine's, or empty, which the system takes for all addresses.
    """
    if not host:
        raise BakeoffError("--host is empty: give an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off, which would hold the end of an answer for 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise BakeoffError(f"{host}:{port} can't be listened on: {error}. Give another --host or --port.") from None
    return bound


def url(bound: socket.socket) -> str:
    """Of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class DrainingServer(uvicorn.Server):
    """A uvicorn server that takes requests for a while after SIGTERM, and then ends without an error."""

    def __init__(self, app: FastAPI, drain: float, on_start: Callable[[], None], on_end: Callable[[], None]) -> None:
        """Serve an application.

        Args:
            app: the application.
            drain: seconds for which requests are still taken after SIGTERM, so that load balancers can turn away.
            on_start: called once connections are taken.
            on_end: called at SIGTERM.
        """
        config = uvicorn.Config(
            app,
            http=DeadlineProtocol,
            limit_concurrency=MAX_CONNECTIONS,
            log_level="warning",
            access_log=False,
            proxy_headers=False,  # the address of the client is not used
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=LONGEST_END,
        )
        super().__init__(config)
        self._drain, self._on_start, self._on_end = drain, on_start, on_end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT: end after the drain; at once at a second signal."""
        self._on_end()
        drain, self._drain = self._drain, 0
        if not drain:
            self.should_exit = True
            return
        loop = asyncio.get_event_loop()
        loop.call_soon_threadsafe(loop.call_later, drain, self.handle_exit, sig, frame)
