"""The HTTP side: routes, and what they answer to what can't be answered."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi import Query as Parameter
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from bakeoff.ops.server.body_route import BodyRoute
from bakeoff.ops.server.measured import RequestMetrics
from bakeoff.ops.server.page import page
from bakeoff.ops.server.questions import RefusedError
from bakeoff.ops.server.schemas import (
    Answer,
    BatchAnswer,
    BatchRequest,
    ItemInfo,
    ModelInfo,
    Neighbours,
    Query,
    Refusal,
    State,
)
from bakeoff.ops.server.service import Service

MOST_NEIGHBOURS = 100

_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "The model does not know the user or an item."},
    422: {"model": Refusal, "description": "What was sent makes no sense; the text says what to change."},
    503: {"model": Refusal, "description": "Too many queries are waiting."},
}

Follow = Callable[[], Coroutine[Any, Any, None]]


def create_app(service: Service, version: str, follow: Follow | None = None) -> FastAPI:
    """The application.

    Args:
        service: what answers.
        version: of this project.
        follow: goes on beside it, such as Watcher.follow.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        following = None if follow is None else asyncio.create_task(follow())
        yield
        if following is not None:
            following.cancel()
        service.batcher.close()

    app = FastAPI(
        title="Bakeoff",
        version=version,
        description="Recommendations of the model that is in production.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their code from a CDN
        redoc_url=None,
    )
    app.add_middleware(RequestMetrics, metrics=service.metrics)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failed)
    _add_questions(app, service)
    _add_items(app, service)
    _add_operations(app, service)
    return app


def _add_questions(app: FastAPI, service: Service) -> None:
    async def recommend(query: Query) -> Response:
        """Top k for a known user, or for someone new by history and features."""
        model = service.model
        return _json(await service.batcher.ask(model, model.vocabulary.question(query)))

    async def recommend_batch(request: BatchRequest) -> Response:
        """One answer per query, in their order; a query that can't be answered is refused alone."""
        model = service.model
        asked: list[Any] = []
        for query in request.queries:
            try:
                asked.append(service.batcher.ask(model, model.vocabulary.question(query)))
            except RefusedError as error:
                asked.append(Refusal(error=str(error), status=error.status))
        answers = [each if isinstance(each, Refusal) else await each for each in asked]
        return _json(BatchAnswer.model_construct(answers=answers))

    post = partial(app.router.add_api_route, methods=["POST"], route_class_override=BodyRoute)
    post("/recommend", recommend, response_model=Answer, responses=_REFUSALS, summary="A list for one query")
    post(
        "/recommend/batch",
        recommend_batch,
        response_model=BatchAnswer,
        responses={422: _REFUSALS[422]},
        summary="Lists for several queries",
    )


def _add_items(app: FastAPI, service: Service) -> None:
    not_found: dict[int | str, dict[str, Any]] = {status: _REFUSALS[status] for status in (404, 422)}

    @app.get("/items/{item_id}", response_model=ItemInfo, responses=not_found, summary="An item")
    async def item(item_id: str) -> Response:
        """Its title."""
        model = service.model
        return _json(ItemInfo(item_id=item_id, title=model.titles[model.index_of(item_id)]))

    @app.get("/items/{item_id}/neighbours", response_model=Neighbours, responses=not_found, summary="Nearest items")
    def neighbours(item_id: str, k: Annotated[int, Parameter(ge=1, le=MOST_NEIGHBOURS)] = 10) -> Response:
        """Those whose embeddings point the same way."""
        return _json(service.model.neighbours(item_id, k))


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health", summary="Whether the process lives")
    async def health() -> State:
        """Restart it where this fails."""
        return State(status="alive")

    @app.get("/ready", responses={503: {"model": State}}, summary="Whether it takes requests")
    async def ready() -> Response:
        """Send requests elsewhere while this is 503: it is about to end."""
        if service.draining:
            return _json(State(status="draining"), 503)
        return _json(State(status="ready"))

    @app.get("/model", summary="What answers")
    async def model() -> ModelInfo:
        """Name, version, Git revision, since when, and how it searches."""
        return service.info()

    @app.get("/metrics", response_class=Response, summary="For Prometheus")
    async def metrics() -> Response:
        """Requests by status, latencies, batch sizes, the model."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    html = page(app.openapi)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(html(), media_type="text/html")


def _json(content: BaseModel, status: int = 200) -> Response:
    return Response(content.model_dump_json(), status, media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 - as registered
    return _json(Refusal(error=str(error), status=error.status), error.status)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return _json(Refusal(error=f"{'; '.join(told)}. GET /docs shows what can be sent.", status=422), 422)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered
    return _json(
        Refusal(error=f"{error.detail}. GET /docs shows what can be sent.", status=error.status_code), error.status_code
    )


async def _failed(_: Request, error: Exception) -> Response:
    return _json(Refusal(error="The server failed; its log says why.", status=500), 500)
