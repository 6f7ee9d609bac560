"""Counts requests and how long they take, without a wrapper around their bodies."""

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bakeoff.ops.server.metrics import Metrics


class RequestMetrics:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Tell these metrics."""
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            self._metrics.on_request(_route(scope), status, time.perf_counter() - begun)


def _route(scope: Scope) -> str:
    """The path as it was declared: one name for all items, and for all that is not there."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "none"))
