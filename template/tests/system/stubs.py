"""The systems at both ends, as stubs on loopback: what they send and need was recorded here."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
Answer = tuple[int, Any]


class Stub(Protocol):
    """What stands in for a system."""

    def answer(self, path: str, body: Any) -> Answer:
        """Return status and content; without a body it is a GET."""


class Upstream:
    """Hands its records to whoever asks: ``GET /records``."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self.records = records

    def answer(self, path: str, body: Any) -> Answer:
        return (200, self.records) if path == "/records" and body is None else (404, None)


class Consumer:
    """Takes rows that have each field of its example, of the same type: ``POST /predictions``."""

    def __init__(self, example: dict[str, Any]) -> None:
        self.example, self.taken = example, list[dict[str, Any]]()

    def answer(self, path: str, body: Any) -> Answer:
        if path != "/predictions" or body is None:
            return 404, None
        missing = {name for name in self.example for row in body if name not in row}
        wrong = {
            f"{name} is {row[name]!r}, was {value!r}"
            for name, value in self.example.items()
            for row in body
            if name in row and kind(row[name]) != kind(value)
        }
        if faults := sorted([f"{name} is missing" for name in missing] + [*wrong]):
            return 422, faults
        self.taken += body
        return 200, len(body)


def kind(value: Any) -> str:
    """Return the type of a JSON value; of a list, that of its first."""
    if isinstance(value, list):
        return f"list of {kind(value[0]) if value else 'nothing'}"
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if numeric else type(value).__name__


@contextmanager
def served(stub: Stub) -> Iterator[str]:
    """Serve a stub on a free port of loopback; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(*stub.answer(self.path, None))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.reply(*stub.answer(self.path, json.loads(body)))

        def reply(self, status: int, answer: Any) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def recorded(name: str) -> Any:
    """Return what was recorded of one end."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
