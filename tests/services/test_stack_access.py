"""Who gets at the stack of `make up`: nobody from another machine, and nobody without the password."""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from services.local_stack import LocalStack, local_stack
from services.postgres import Postgres
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

OPEN = {("get", "/health"), ("get", "/ready")}
"""What answers anybody: whether the server is up, and nothing else."""
SOCKETS = (
    "events/in",
    "events/out",
    "logs/out",
    "task_runs/subscriptions/scheduled",
    "work_pools/bakeoff/workers/connect",
)


@pytest.fixture(scope="module")
def stack(postgres: Postgres) -> Iterator[LocalStack]:
    """On PostgreSQL, by its connection string."""
    url = postgres.url("postgresql+asyncpg", postgres.new_database())
    with local_stack(given={"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}) as stack:
        yield stack


def calls(stack: LocalStack) -> list[tuple[str, str]]:
    """Every method and path of the API."""
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/openapi.json") as answer:
        paths = json.load(answer)["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


def status(stack: LocalStack, method: str, path: str, headers: dict[str, str]) -> int:
    """What a call without a body answers; every parameter in its path is an `x`."""
    filled = "/".join("x" if part.startswith("{") else part for part in path.split("/"))
    address = stack.url + filled
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method=method.upper(), headers=headers)) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YmFrZW9mZjp3cm9uZw=="}], ids=["none", "wrong"])
def test_without_the_password_no_call_of_the_api_succeeds(stack: LocalStack, headers: dict[str, str]) -> None:
    answered = {(method, path): status(stack, method, path, headers) for method, path in calls(stack)}
    assert len(answered) > 150
    assert {call for call, code in answered.items() if code != 401} == OPEN


@pytest.mark.parametrize("path", SOCKETS)
def test_without_the_password_no_socket_of_the_api_stays_open(stack: LocalStack, path: str) -> None:
    async def talk() -> None:
        address = f"ws://127.0.0.1:{stack.port}/api/{path}"
        async with connect(address, subprotocols=["prefect"]) as open_socket:
            await open_socket.send(json.dumps({"type": "auth", "token": "bakeoff:wrong"}))
            answer = json.loads(await open_socket.recv())
            assert answer["type"] != "auth_success"
            await open_socket.recv()

    with pytest.raises(ConnectionClosed):
        asyncio.run(talk())


def test_with_the_password_calls_succeed(stack: LocalStack) -> None:
    assert stack.ask("deployments/count") == 5


def test_a_page_from_elsewhere_is_not_let_in(stack: LocalStack) -> None:
    def allowed(origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        address = f"{stack.url}/flow_runs/filter"
        request = urllib.request.Request(address, method="OPTIONS", headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.headers["Access-Control-Allow-Origin"]
        except HTTPError as error:
            return error.headers["Access-Control-Allow-Origin"]

    assert [allowed(origin) for origin in ("https://example.com", "null", "http://127.0.0.1")] == [None] * 3
    assert allowed(f"http://127.0.0.1:{stack.port}") is not None


def test_nothing_listens_beyond_loopback(stack: LocalStack) -> None:
    listeners = stack.listeners()
    assert {address for address, _ in listeners} == {"127.0.0.1"}
    assert ("127.0.0.1", stack.port) in listeners


def test_only_the_owner_reads_the_password(stack: LocalStack) -> None:
    assert stack.home.stat().st_mode & 0o777 == 0o700
    assert stack.profile.stat().st_mode & 0o777 == 0o600
    assert len(stack.password) > 40


def test_the_history_is_in_the_database_of_the_connection_string(stack: LocalStack, postgres: Postgres) -> None:
    name = stack.given["PREFECT_SERVER_DATABASE_CONNECTION_URL"].rpartition("/")[2]
    assert postgres.execute("SELECT count(*) FROM deployment", name) == str(stack.ask("deployments/count"))
    assert not (stack.home / "prefect/prefect.db").exists()


def test_a_port_that_is_taken_ends_the_start_and_is_named() -> None:
    refused = LocalStack()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", refused.port))
        holder.listen()
        done = refused.make("up")
    assert done.returncode != 0
    assert f"Port {refused.port} is already in use" in done.stdout
    assert str(refused.profile) in done.stdout
    refused.down()
    assert refused.processes() == []
    shutil.rmtree(refused.home)


def test_down_ends_what_outlived_its_worker_and_nothing_of_another_stack() -> None:
    stacks = [LocalStack(), LocalStack()]
    stages = [
        subprocess.Popen(["sleep", "600"], env={"BAKEOFF_SUPERVISED": str(stack.home)}, start_new_session=True)
        for stack in stacks
    ]
    try:
        assert "Ended 1 processes" in stacks[0].down()
        assert [stage.poll() for stage in stages] == [-signal.SIGTERM, None]
    finally:
        for stack, stage in zip(stacks, stages, strict=True):
            stage.kill()
            stage.wait()
            shutil.rmtree(stack.home)
