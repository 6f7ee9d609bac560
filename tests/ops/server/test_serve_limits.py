"""What one client can make the server hold: a real server on loopback around a small application."""

import asyncio
import socket
import threading
import time
from contextlib import closing, suppress
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI, Response
from prometheus_client import generate_latest
from pydantic import BaseModel

from bakeoff.core.errors import BakeoffError
from bakeoff.data.features.encoding import category_code
from bakeoff.ops.server import http_server, schemas
from bakeoff.ops.server.app import BodyRoute, answer_errors, create_app
from bakeoff.ops.server.http_server import MAX_BODY, DrainingServer, listen, url

LARGE = 30_000_000
"""Bytes of an answer: more than the buffers of both sides take."""


class Text(BaseModel):
    text: str


def body(size):
    """JSON of so many bytes."""
    return b'{"text": "%s"}' % (b"x" * (size - 12))


def post(address, content, route="size", kind="application/json"):
    return httpx.post(f"{address}/{route}", content=content, headers={"Content-Type": kind}, timeout=60)


@pytest.fixture(scope="module")
def address():
    app = FastAPI()
    answer_errors(app)

    async def size(body: Text) -> Response:
        return Response(str(len(body.text)))

    async def query(query: schemas.Query) -> Response:
        return Response(query.model_dump_json(exclude_unset=True))

    async def batch(batch: schemas.BatchRequest) -> Response:
        return Response(str(len(batch.queries)))

    async def large(body: Text) -> Response:
        return Response(b"x" * LARGE)

    async def slow(body: Text) -> Response:
        await asyncio.sleep(1.2)  # longer than a request may take
        return Response("done")

    for endpoint in (size, query, batch, large, slow):
        path = f"/{endpoint.__name__}"
        app.router.add_api_route(path, endpoint, methods=["POST"], route_class_override=BodyRoute)

    started = threading.Event()
    server = DrainingServer(app, 0, started.set, lambda: None)
    with pytest.MonkeyPatch.context() as patch, closing(listen("127.0.0.1", 0)) as bound:
        patch.setattr(http_server, "REQUEST_SECONDS", 0.5)
        patch.setattr(http_server, "ANSWER_SECONDS", 1.0)
        patch.setattr(server, "install_signal_handlers", lambda: None, raising=False)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        assert started.wait(30)
        yield url(bound)
        server.should_exit = True
        thread.join()


def connect(address):
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def ended(connection):
    """Seconds until the server closes the connection."""
    begun = time.monotonic()
    while connection.recv(4096):
        pass
    return time.monotonic() - begun


def flood(connection, chunk):
    """Bytes that can be sent until the server closes the connection; 100 bodies at most."""
    sent = 0
    with suppress(OSError):
        while sent < 100 * MAX_BODY:
            connection.sendall(chunk)
            sent += len(chunk)
    return sent


def test_a_body_of_the_largest_size_is_read(address):
    assert post(address, body(MAX_BODY)).json() == MAX_BODY - 12


def test_a_body_that_is_declared_too_large_is_refused(address):
    answer = post(address, body(MAX_BODY + 1))
    assert answer.status_code == 413
    assert answer.json()["error"] == "The body has more than 4,194,304 bytes: send fewer or shorter queries."


def test_a_body_without_a_declared_size_is_read_to_the_limit_and_no_further(address):
    with closing(connect(address)) as connection:
        connection.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = flood(connection, b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        assert sent < 20 * MAX_BODY  # the buffers of both sides included


def pairs(value, count):
    """Entries of a JSON object, under different names."""
    return b",".join(b'"%x":%s' % (number, value) for number in range(count))


MALFORMED = {
    "features": (
        "query",
        b'{"features":{%s}}' % pairs(b"{}", 340_000),
        "features: Dictionary should have at most 1000",
    ),
    "vector": ("query", b'{"features":{"v":[%s0]}}' % (b"{}," * 1_340_000), "v.list[float].0: Input should be a valid"),
    "numbers": ("query", b'{"features":{"v":[%s0]}}' % (b"0," * 2_000_000), "List should have at most 16384 items"),
    "names": ("query", b"{%s}" % pairs(b"0", 400_000), "The body has 400,000 faults."),
    "histories": (
        "batch",
        b'{"queries":[%s{}]}' % (b'{"history":[%s0]},' % (b"{}," * 5_300) * 255),
        "The body has 5,300 faults.",
    ),
}


@pytest.mark.parametrize(("route", "content", "said"), MALFORMED.values(), ids=MALFORMED)
def test_a_body_with_a_million_faults_is_refused_without_naming_them(address, route, content, said):
    assert len(content) <= MAX_BODY
    answer = post(address, content, route)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert "more" not in answer.json()["error"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.api+json"])
def test_faults_are_bounded_however_json_is_spelled(address, kind):
    content = b"{%s}" % pairs(b"0", 2_000)
    assert post(address, content, "query", kind).json()["error"].startswith("The body has 2,000 faults.")


def test_faults_are_named_with_their_place_in_the_json(address):
    def said(content, route="query"):
        return post(address, content, route).json()["error"].removesuffix(". GET /docs shows what can be sent.")

    assert said(b"[]") == "body: Input should be an object"
    assert said(b'{"history": {}}') == "body.history: Input should be a valid array"
    assert said(b'{"features": 1, "usr": 2}') == (
        "body.features: Input should be an object; body.usr: Extra inputs are not permitted"
    )
    assert said(b'{"queries": [{"filters": [{"feature": "year"}]}]}', "batch") == (
        "body.queries.0.filters.0: Value error, a filter needs any_of, none_of, min or max"
    )
    assert said(b'{"history": [%s0]}' % (b"{}," * 30)).endswith("valid string; and 20 more")


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"POST /size HTT",
        b"POST /size HTTP/1.1\r\nHost: x\r\n",
        b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
    ],
    ids=["nothing", "line", "headers", "body"],
)
def test_a_request_that_does_not_arrive_in_time_loses_its_connection(address, half):
    with closing(connect(address)) as connection:
        connection.sendall(half)
        assert ended(connection) < 10


def request(path, size, *headers):
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {size}", *headers]
    return "\r\n".join([*lines, "\r\n"]).encode() + body(size)


def received(connection):
    """All that comes until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))


@pytest.mark.parametrize("missing", [16, 40], ids=["body", "headers"])
def test_a_request_that_comes_with_the_one_before_it_has_a_deadline_too(address, missing):
    whole = request("/size", 16)
    with closing(connect(address)) as connection:
        begun = time.monotonic()
        connection.sendall(whole + whole[:-missing])
        assert received(connection).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - begun < 10


def test_a_request_that_waits_for_the_answer_to_the_one_before_it_is_not_late(address):
    size = 1_000_000
    with closing(connect(address)) as connection:
        connection.sendall(request("/slow", 16) + request("/size", size, "Connection: close"))
        assert received(connection).endswith(str(size - 12).encode())


def test_an_answer_that_nobody_takes_is_dropped(address):
    asked = request("/large", 16, "Connection: close")
    with closing(connect(address)) as connection:
        connection.sendall(asked)
        assert len(received(connection)) > LARGE
    with closing(connect(address)) as connection:
        connection.sendall(asked)
        time.sleep(3)
        with suppress(ConnectionResetError):
            assert len(received(connection)) < LARGE


def test_a_connection_that_waits_between_two_requests_is_kept(address):
    with closing(connect(address)) as connection:
        for _ in range(2):
            connection.sendall(request("/size", 16))
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            time.sleep(0.8)  # longer than a request may take


def test_headers_without_an_end_are_not_collected(address):
    with closing(connect(address)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert flood(connection, b"x" * 4096) < 20 * MAX_BODY


def test_a_client_that_closes_within_its_body_is_no_failure_of_the_server():
    app = create_app(SimpleNamespace(model=None, submit=None), "1")
    arriving = [{"type": "http.request", "body": b'{"user', "more_body": True}, {"type": "http.disconnect"}]
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/recommend", "query_string": b"", "headers": headers}
    sent = []

    async def receive():
        return arriving.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # raises nothing, which would be logged with its trace
    assert sent[0]["status"] == 499
    assert 'route="/recommend",status="499"' in generate_latest().decode()


def test_a_query_of_a_batch_that_fails_is_refused_alone(caplog):
    async def answered(user):
        if user == "fails":
            raise RuntimeError("broken")
        return schemas.Answer(items=[], model="m", version="v", fallback=False, ignored=[])

    def submit(_, query):
        if query.user_id == "fails at once":
            raise RuntimeError("broken")
        return answered(query.user_id)

    async def ask():
        transport = httpx.ASGITransport(create_app(SimpleNamespace(model=None, submit=submit), "1"))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            users = ("u1", "fails", "fails at once", "u2")
            return await client.post("/recommend/batch", json={"queries": [{"user_id": user} for user in users]})

    answers = asyncio.run(ask()).json()["answers"]
    assert [answer.get("status", 200) for answer in answers] == [200, 500, 500, 200]
    assert answers[1]["error"] == "The server failed; its log says why."
    assert caplog.text.count("RuntimeError: broken") == 2


def test_an_item_may_have_a_slash_in_its_id():
    titles = {"i/1": "One", "i2": "Two"}

    def index_of(item):
        if item not in titles:
            raise schemas.RefusedError(404, f"no {item}")
        return item

    def neighbours(item, k):
        return schemas.Neighbours(item_id=index_of(item), neighbours=[], model=str(k), version="")

    model = SimpleNamespace(titles=titles, index_of=index_of, neighbours=neighbours)
    app = create_app(SimpleNamespace(model=model, submit=None), "1")

    async def answers(*paths):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return [await client.get(f"/items/{path}") for path in paths]

    paths = ["i%2F1", "i/1", "i%2F1/neighbours", "i2", "i2/neighbours?k=3", "i%2F2", "i2/", "i2/neighbours/", ""]
    found = asyncio.run(answers(*paths))
    assert [answer.status_code for answer in found] == [200, 200, 200, 200, 200, 404, 307, 307, 404]
    assert [answer.json().get("title") for answer in found[:4]] == ["One", "One", None, "Two"]
    assert [answer.headers["location"] for answer in found[6:8]] == [
        "http://x/items/i2",
        "http://x/items/i2/neighbours",
    ]
    assert found[2].json()["item_id"] == "i/1"
    assert 'route="/items/{item_id}",status="200"' in generate_latest().decode()


def test_a_refusal_shows_a_few_known_values_and_shortens_what_was_sent():
    codes = {f"user-{number}": number for number in range(1, 100)}
    with pytest.raises(BakeoffError) as refused:
        category_code("user", "x" * 1000, codes)
    assert str(refused.value).endswith("is not known: known are user-1, user-2, user-3, user-4, user-5 and others.")
    assert len(str(refused.value)) < 200
