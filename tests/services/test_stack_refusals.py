"""What `make up` refuses, and that nothing is left of it then. No stack is started here."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest
from services.local_stack import LocalStack


@pytest.fixture
def stack() -> Iterator[LocalStack]:
    stack = LocalStack()
    yield stack
    assert stack.processes() == []
    shutil.rmtree(stack.home)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_that_is_taken_is_named_with_its_holder(stack: LocalStack) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", stack.port))
        holder.listen()
        message = refusal(stack.call("up", "--port", str(stack.port)))
    assert f"cannot listen on 127.0.0.1:{stack.port}: process {os.getpid()} (" in message
    assert "--port" in message


def test_nobody_else_is_let_in_without_a_password(stack: LocalStack) -> None:
    message = refusal(stack.call("up", "--port", str(stack.port), "--host", "0.0.0.0"))
    assert "PREFECT_SERVER_API_AUTH_STRING" in message


def test_data_of_a_postgresql_that_is_not_installed_are_left_alone(stack: LocalStack) -> None:
    data = stack.home / "postgresql/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    message = refusal(stack.call("up", "--port", str(stack.port), "--database", "postgresql"))
    assert "made by PostgreSQL 9, which is not installed" in message
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_settings_that_cannot_be_read_are_named(stack: LocalStack) -> None:
    (stack.home / "options.json").write_text("{")
    assert "options.json cannot be read" in refusal(stack.call("up"))


def test_where_nothing_runs_status_says_so_and_down_does_nothing(stack: LocalStack) -> None:
    assert stack.call("status").returncode == 3
    assert stack.down().strip() == "Nothing runs."
