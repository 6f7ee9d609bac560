"""The few calls of Prefect's API that the stack needs; no import of Prefect, which takes seconds."""

import base64
import json
import os
import urllib.error
import urllib.request
from typing import Any


class Api:
    """A Prefect server."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def healthy(self) -> bool:
        """Whether the server answers and reaches its database."""
        try:
            self.post("flow_runs/count")
        except (urllib.error.URLError, OSError, ValueError):
            return False
        return True

    def get(self, path: str) -> Any:
        """What a GET answers."""
        return self._ask("GET", path, None)

    def post(self, path: str, **body: object) -> Any:
        """What a POST answers."""
        return self._ask("POST", path, body)

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            self.get(path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise
        return True

    def _ask(self, method: str, path: str, body: object) -> Any:
        headers = {"Content-Type": "application/json"}
        secret = os.environ.get("PREFECT_API_AUTH_STRING") or os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
        if secret:
            headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data=data, headers=headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - the scheme is http, see Options.url
            text = answer.read()
        return json.loads(text) if text else None
