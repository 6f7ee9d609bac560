"""The application: its routes, and how refusals and errors are answered."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from inspect import signature
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi import Query as Parameter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from prometheus_client import generate_latest
from pydantic import BaseModel, ValidationError
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bakeoff.ops.online.serving import Online
from bakeoff.ops.server import schemas
from bakeoff.ops.server.http_server import MAX_BODY
from bakeoff.ops.server.served_model import ServedModel
from bakeoff.ops.server.service import RequestMetrics, Service

MOST_NEIGHBOURS = 100

MOST_FAULTS = 10
"""Faults of a request that a refusal names."""

MANY_FAULTS = 1_000
"""Faults beyond which a refusal only counts them: to list them all takes seconds and gigabytes for a large body."""

FAILED = "The server failed; its log says why."

CLIENT_CLOSED = 499
"""Status, as nginx has it, of a request whose client has gone before all of it was there."""

JSON = re.compile(r"application/([^;/]*\+)?json[ \t]*(;|$)", re.IGNORECASE)
"""Content types of JSON."""

DOCS = "GET /docs shows what can be sent."

_REFUSED: dict[int | str, dict[str, Any]] = {
    "default": {"model": schemas.Refusal, "description": "Why there is no answer, with the status."}
}
"""For the OpenAPI document: any route may refuse."""

log = logging.getLogger("bakeoff.serve")

Follow = Callable[[], Coroutine[Any, Any, None]]
Submit = Callable[[ServedModel, schemas.Query], Awaitable[schemas.Answer]]


class BodyRoute(APIRoute):
    """Parses and checks JSON in one go, and refuses what is not sent as JSON.

    FastAPI's way from a request to arguments makes a request by user id at 8 clients 40 % more expensive
    (docs/serving.md), and lists every fault of a body. The endpoint takes a pydantic model as its one argument and
    returns a response.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function that answers a request."""
        endpoint = self.endpoint
        [parameter] = signature(endpoint).parameters.values()

        async def handle(request: Request) -> Response:
            if int(request.headers.get("content-length", "0")) > MAX_BODY:
                text = f"The body has more than {MAX_BODY:,} bytes: send fewer or shorter queries."
                raise schemas.RefusedError(413, text, {"connection": "close"})
            if not JSON.match(request.headers.get("content-type", "")):
                raise schemas.RefusedError(422, f"The body must be sent as Content-Type: application/json. {DOCS}")
            try:
                body = parameter.annotation.model_validate_json(await request.body())
            except ValidationError as error:
                raise _refused_body(error) from None
            except ClientDisconnect:  # in the middle of its body: nobody reads this, but it is counted
                return Response(status_code=CLIENT_CLOSED)
            answer: Response = await endpoint(body)
            return answer

        return handle


def _refused_body(error: ValidationError) -> Exception:
    """The refusal of a body, with its faults as FastAPI names them."""
    if error.error_count() > MANY_FAULTS:
        return schemas.RefusedError(422, f"The body has {error.error_count():,} faults. {DOCS}")
    return RequestValidationError([fault | {"loc": ("body", *fault["loc"])} for fault in error.errors()])


def create_app(service: Service, version: str, follow: Follow | None = None, online: Online | None = None) -> FastAPI:
    """The application.

    Args:
        service: answers.
        version: of this project.
        follow: runs as long as the application, such as `service.follow`.
        online: logs what is answered, and takes feedback; None: no log.
    """
    tasks = [task for task in (follow, None if online is None else online.watch) if task is not None]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        following = [asyncio.create_task(task()) for task in tasks]
        yield
        for each in following:
            each.cancel()
        service.batcher.close()
        if online is not None:
            await asyncio.to_thread(online.close)

    app = FastAPIOffline(title="Bakeoff", version=version, lifespan=lifespan, redoc_url=None, responses=_REFUSED)
    app.description = "Recommendations of the model that is in production."
    app.add_middleware(RequestMetrics)
    answer_errors(app)
    _add_recommendations(app, service, online)
    _add_items(app, service)
    _add_operations(app, service)
    return app


def answer_errors(app: FastAPI) -> None:
    """Answer every refusal and error of an application with a Refusal."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        text = error.detail if isinstance(error, schemas.RefusedError) else f"{error.detail}. {DOCS}"
        return _refusal(error.status_code, text, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        faults = error.errors()
        named = [f"{'.'.join(map(str, each['loc']))[:100]}: {each['msg']}" for each in faults[:MOST_FAULTS]]
        more = f"; and {len(faults) - MOST_FAULTS:,} more" if len(faults) > MOST_FAULTS else ""
        return _refusal(422, f"{'; '.join(named)}{more}. {DOCS}")

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return _refusal(500, FAILED)


def _add_recommendations(app: FastAPI, service: Service, online: Online | None) -> None:
    submit: Submit = service.submit if online is None else online.submit

    async def recommend(query: schemas.Query) -> Response:
        """Top k for a known user, or for someone new by history and features; with `why`, the reasons too."""
        return _json(await submit(service.model, query))

    async def recommend_batch(request: schemas.BatchRequest) -> Response:
        """One answer per query, in their order; a query that can't be answered is refused alone."""
        model = service.model
        tasks, answers = [], []
        for query in request.queries:
            tasks.append(asyncio.create_task(_answer_or_refusal(submit, model, query)))
            await asyncio.sleep(0)  # other requests, such as /health, are answered between two queries
        for task in tasks:
            answers.append((await task).model_dump_json())
            await asyncio.sleep(0)
        return Response(f'{{"answers":[{",".join(answers)}]}}', media_type="application/json")

    post = partial(app.router.add_api_route, methods=["POST"], route_class_override=BodyRoute)
    answer: Any = schemas.ExplainedAnswer | schemas.Answer
    post("/recommend", recommend, response_model=answer, summary="A list for one query")
    post("/recommend/batch", recommend_batch, response_model=schemas.BatchAnswer, summary="Several lists")
    if online is not None:

        async def feedback(sent: schemas.Feedback) -> Response:
            """Log a click, a buy or the like on an item of a list."""
            return _json(online.feedback(sent))

        post("/feedback", feedback, response_model=schemas.State, summary="What somebody did with a list")


class ItemConvertor(PathConvertor):
    """An item id in a path: it may hold slashes, but not end in one, since such paths redirect to those without."""

    regex = r"[\s\S]*[^/]"


register_url_convertor("item", ItemConvertor())


def _add_items(app: FastAPI, service: Service) -> None:
    @app.get("/items/{item_id:item}/neighbours", summary="Nearest items")
    def neighbours(item_id: str, k: Annotated[int, Parameter(ge=1, le=MOST_NEIGHBOURS)] = 10) -> schemas.Neighbours:
        """Those whose embeddings point the same way."""
        return service.model.neighbours(item_id, k)

    @app.get("/items/{item_id:item}", summary="An item")  # the last one, since an id may hold /neighbours too
    async def item(item_id: str) -> schemas.ItemInfo:
        """Its title."""
        model = service.model
        return schemas.ItemInfo(item_id=item_id, title=model.titles[model.index_of(item_id)])


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health", summary="Whether the process lives")
    async def health() -> schemas.State:
        """Restart it where this fails."""
        return schemas.State(status="alive")

    @app.get("/ready", responses={503: {"model": schemas.State}}, summary="Whether it takes requests")
    async def ready() -> Response:
        """Send requests elsewhere while this is 503: it is about to end."""
        status, code = ("draining", 503) if service.draining else ("ready", 200)
        return _json(schemas.State(status=status), code)

    @app.get("/model", summary="What answers")
    async def model() -> schemas.ModelInfo:
        """Name, version, Git revision, since when, and how it searches."""
        return service.info()

    @app.get("/metrics", response_class=Response, summary="For Prometheus")
    async def metrics() -> Response:
        """Requests by status, latencies, batch sizes, the model."""
        page = generate_latest()
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _answer_or_refusal(
    submit: Submit, model: ServedModel, query: schemas.Query
) -> schemas.Answer | schemas.Refusal:
    """What a batch has for a query; an error that is no refusal is logged."""
    try:
        if query.why:
            raise schemas.RefusedError(422, "why is not answered in a batch: ask POST /recommend.")
        return await submit(model, query)
    except schemas.RefusedError as error:
        return schemas.Refusal(error=error.detail, status=error.status_code)
    except Exception:  # one query must not spoil the answers of others
        log.exception("a query of a batch failed")
        return schemas.Refusal(error=FAILED, status=500)


def _refusal(status: int, text: str, headers: Any = None) -> Response:
    return _json(schemas.Refusal(error=text, status=status), status, headers)


def _json(content: BaseModel, status: int = 200, headers: Any = None) -> Response:
    return Response(content.model_dump_json(), status, headers, media_type="application/json")
