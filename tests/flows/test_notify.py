"""Messages, to a real server on loopback."""

import json
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from notify import NotifyError, send, tell
from secret import read_secret

pytestmark = pytest.mark.usefixtures("prefect_server")


class Listener(HTTPServer):
    """Takes messages, or refuses them."""

    def __init__(self) -> None:
        self.taken: list[dict[str, str]] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                listener.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(listener.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    server = Listener()
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("BAKEOFF_NOTIFY", f"json://user:hunter2@127.0.0.1:{server.server_port}/hook")
    yield server
    server.shutdown()
    server.server_close()


def test_a_message_reaches_the_address(listener: Listener) -> None:
    assert send("Bakeoff: brave-owl", "softmax goes into production.")
    (taken,) = listener.taken
    assert (taken["title"], taken["message"]) == ("Bakeoff: brave-owl", "softmax goes into production.")


def test_without_an_address_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAKEOFF_NOTIFY", raising=False)
    assert not send("title", "body")


def test_a_message_that_is_refused_is_logged_without_the_address(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    listener.status = 500
    tell("Bakeoff: brave-owl", "body", logging.getLogger("run"))
    assert "'Bakeoff: brave-owl' was not taken" in caplog.text
    assert "hunter2" not in caplog.text


def test_an_address_that_makes_no_sense_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_NOTIFY", "hunter2")
    with pytest.raises(NotifyError, match="no address that Apprise understands") as caught:
        send("title", "body")
    assert "hunter2" not in str(caught.value)


def test_a_secret_comes_from_the_environment_first_then_from_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.blocks.system import Secret

    Secret(value="on the server").save("test-secret")
    monkeypatch.delenv("A_SECRET", raising=False)
    assert read_secret("A_SECRET", "test-secret") == "on the server"
    assert read_secret("A_SECRET", "no-such-block") is None
    monkeypatch.setenv("A_SECRET", "here")
    assert read_secret("A_SECRET", "test-secret") == "here"
