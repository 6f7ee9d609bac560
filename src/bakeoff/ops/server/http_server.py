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

MAX_CONNECTIONS = 2_048
"""Open connections; beyond them requests are answered with 503."""

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than a load balancer keeps one, so that it is never the server
that closes a connection on which the next request is already under way."""

LONGEST_END = 30
"""Seconds in which requests that are being answered may end."""


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which closes a connection whose request does not arrive in time or has no end.

    uvicorn limits the time between requests, but not that within one: a client that sends half a request would hold a
    connection for as long as it likes. `on_message_complete` is a callback of httptools' parser.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """See `HttpToolsProtocol`."""
        super().__init__(*arguments, **options)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Count what arrives; no more is read of a request that has no end."""
        if self._deadline.cancelled():
            self._expect_request()
        self._received += len(data)
        if self._received > MAX_BODY + MAX_HEADERS:
            self.transport.close()
            return
        super().data_received(data)

    def on_message_complete(self) -> None:
        """The whole request is here: the rest is the server's time."""
        self._deadline.cancel()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._deadline.cancel()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._received = 0
        self._deadline = self.loop.call_later(REQUEST_SECONDS, lambda: self.transport.close())


def listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        BakeoffError: the address is taken, or not this machine's.
    """
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
