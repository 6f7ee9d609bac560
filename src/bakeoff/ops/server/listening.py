"""The HTTP server: uvicorn on a socket of our own, ended without dropping what was asked."""

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.server.limits import MAX_CONNECTIONS, DeadlineProtocol

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than a load balancer keeps one, so that it is never the server
that closes a connection on which the next request is already under way."""

LONGEST_END = 30
"""Seconds in which requests that are being answered may end."""


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


class Listening(uvicorn.Server):
    """A uvicorn server that stays for a while after it was told to end, and then ends without an error."""

    def __init__(self, app: FastAPI, drain: float, on_start: Callable[[], None], on_end: Callable[[], None]) -> None:
        """Serve an application.

        Args:
            app: the application.
            on_start: called once connections are taken.
            drain: seconds for which requests are still taken after SIGTERM, so that load balancers can turn away.
            on_end: called when it is told to end, before that.
        """
        config = uvicorn.Config(
            app,
            http=DeadlineProtocol,
            limit_concurrency=MAX_CONNECTIONS,
            log_level="warning",
            access_log=False,
            proxy_headers=False,  # nobody is told who asked
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
        """SIGTERM or SIGINT: leave slowly; a second one at once."""
        if self.should_exit or self._drain == 0:
            self._on_end()
            self.should_exit = True
            return
        self._on_end()
        drain, self._drain = self._drain, 0
        loop = asyncio.get_event_loop()
        loop.call_soon_threadsafe(loop.call_later, drain, self._leave)

    def _leave(self) -> None:
        self.should_exit = True
