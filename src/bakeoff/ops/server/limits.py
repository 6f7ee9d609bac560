"""Limits on what one client can make the server hold: bytes of a request, and the time in which it must arrive."""

import asyncio
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bakeoff.ops.server.schemas import Refusal

MAX_BODY = 4 << 20
"""Bytes of a request's body: a full batch with histories of about a thousand items each."""

MAX_HEADERS = 64 << 10
"""Bytes of a request's line and headers."""

REQUEST_SECONDS = 20.0
"""Time in which a whole request must arrive, from its first byte or, for the first one, from the connection."""

MAX_CONNECTIONS = 2_048
"""Open connections; beyond them requests are answered with 503."""


class BodyLimit:
    """ASGI middleware that answers 413 to a body of more than `MAX_BODY` bytes, before it is read to its end."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > MAX_BODY:
            await _too_large()(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:
                raise _BodyTooLargeError
            return message

        try:
            await self._app(scope, counted, send)
        except _BodyTooLargeError:
            await _too_large()(scope, receive, send)


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which closes a connection whose request does not arrive in time or has no end.

    uvicorn limits the time between requests, but not that within one: whoever sends half a request holds a connection
    for as long as they like. `on_message_begin` and `on_message_complete` are callbacks of httptools' parser.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """See `HttpToolsProtocol`."""
        super().__init__(*arguments, **options)
        self._received = 0
        self._deadline: asyncio.TimerHandle | None = self._armed()

    def data_received(self, data: bytes) -> None:
        """Count what arrives; of a request that has no end nothing more is read."""
        if self._deadline is None:
            self._deadline = self._armed()
        self._received += len(data)
        if self._received > MAX_BODY + MAX_HEADERS:
            self.transport.close()
            return
        super().data_received(data)

    def on_message_complete(self) -> None:
        """The whole request is here: the rest is the server's time."""
        self._disarm()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._disarm()
        super().connection_lost(exc)

    def _armed(self) -> asyncio.TimerHandle:
        return self.loop.call_later(REQUEST_SECONDS, self._expire)

    def _expire(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def _disarm(self) -> None:
        self._received = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _BodyTooLargeError(Exception):
    """More bytes came than a body may have."""


def _too_large() -> Response:
    refusal = Refusal(error=f"The body has more than {MAX_BODY:,} bytes: send fewer or shorter queries.", status=413)
    return Response(refusal.model_dump_json(), 413, media_type="application/json", headers={"connection": "close"})
