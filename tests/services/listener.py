"""A server on loopback that takes what is sent to the people who look after the pipeline."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread


class Listener(HTTPServer):
    """Takes messages, or refuses them.

    Attributes:
        taken: the messages, as JSON has them.
        status: what is answered.
    """

    secret = "hunter2-of-the-messages"

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

    @property
    def address(self) -> str:
        """As Apprise takes it; holds the secret."""
        return f"json://user:{self.secret}@127.0.0.1:{self.server_port}/hook"


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener from start to end."""
    server = Listener()
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
