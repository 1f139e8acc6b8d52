"""The server as a cloud's endpoint knows it: one path for everything, and its counts in the log.

Endpoints of Azure ML, SageMaker and Vertex AI send all requests to one path. What is meant for
another travels in the body: ``{"path": "/feedback", "body": {…}}``. Their servers cannot be asked
one by one, so each tells its counts in a line of its log.
"""

import json
import os
import threading
import time
from typing import Any

from .app import Message, Receive, Send, Server

PATH = "/invocations"
# What a release is judged by.
COUNTS = ("mlops_requests_", "mlops_request_", "mlops_prediction", "mlops_feedback_")


class Platform:
    """The ASGI application around a server's."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._limit = server.limits.max_body_kb * 1024

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send a request on to the path that it is meant for."""
        if scope["type"] == "http" and scope["path"] == "/ping":
            scope = {**scope, "path": "/health"}
        elif scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", PATH):
            scope, receive = await self._unwrap(scope, receive)
        await self._server(scope, receive, send)

    async def _unwrap(self, scope: Message, receive: Receive) -> tuple[Message, Receive]:
        body, message = b"", await receive()
        while message["type"] == "http.request":
            body += message.get("body", b"")
            # One that is too large is refused by the server, whatever is in it.
            if not message.get("more_body", False) or len(body) > self._limit:
                break
            message = await receive()
        method, path, body = meant(body)
        sent = [{**message, "body": body}] if message["type"] == "http.request" else [message]

        async def again() -> Message:
            return sent.pop() if sent else await receive()

        rest = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        headers = [*rest, (b"content-length", str(len(body)).encode())]
        return {**scope, "method": method, "path": path, "headers": headers}, again


def meant(body: bytes) -> tuple[str, str, bytes]:
    """Return the method, path and body that a request to the one path is meant for."""
    if body.lstrip()[:10] == b'{"records"':  # by far the most; decoded once only
        return "POST", "/predict", body
    try:
        told: Any = json.loads(body)
    except ValueError:
        told = None
    if isinstance(told, dict) and isinstance(told.get("path"), str):
        inner = told.get("body")
        return ("GET", told["path"], b"") if inner is None else _post(told["path"], inner)
    if isinstance(told, dict) and told.keys() == {"instances"}:  # Vertex AI's own word
        return _post("/predict", {"records": told["instances"]})
    return "POST", "/predict", body  # whose refusal says what is wrong


def _post(path: str, body: Any) -> tuple[str, str, bytes]:
    return "POST", path, json.dumps(body).encode()


def tell(server: Server, every: float) -> None:
    """Print a server's counts every so many seconds, while the process lives."""
    name = os.urandom(8).hex()

    def print_on() -> None:
        while True:
            time.sleep(every)
            print(line(server, name), flush=True)

    threading.Thread(target=print_on, daemon=True).start()


def line(server: Server, name: str) -> str:
    """Return a server's counts as one line of JSON."""
    text = server.metrics.text().decode().splitlines()
    told = "\n".join(one for one in text if one.startswith(COUNTS)) + "\n"
    return json.dumps({"figures": {"server": name, "text": told}})
