"""The server with faults, in the place of ``python -m mlops.serve``.

``plant(folder)`` makes a folder that goes first on PYTHONPATH: its sitecustomize turns the command
``-m mlops.serve`` into this file. FOLDER/fault.json, beside the model, says what is wrong:

    {"errors": 0.05}        share of requests that are answered 500
    {"slow": 40}            milliseconds that each answer comes late
    {"shift": 0.3}          is added to each prediction, and to those counted
    {"version": "9"}        answers and counts as another version
    {"crash": true}         ends at the start
    {"hang": true}          never answers; /ready does
    {"mute": true}          tells no figures: /metrics is answered 500

It is read at each request, so that a test can turn a fault on and off; with ``{"toy": true}`` a
small stand-in answers, which needs no model.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

FAULT = "fault.json"
ASKED = ("/invocations", "/predict", "/explain", "/feedback")
EDGES = [i / 10 for i in range(11)]


def plant(folder: Path) -> Path:
    """Return a folder for the front of PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "given = getattr(sys, 'orig_argv', [])\n"
        "if given[1:3] == ['-m', 'mlops.serve']:\n"
        "    import os\n"
        f"    os.execv(sys.executable, [sys.executable, {str(Path(__file__).resolve())!r}]"
        " + given[3:])\n"
    )
    return folder


class Faulty:
    """Wraps an ASGI application; what is wrong is read from the model's folder."""

    def __init__(self, app: Any, folder: Path) -> None:
        self.app, self.path = app, folder / FAULT
        self.read, self.known = -1, dict[str, Any]()

    def faults(self) -> dict[str, Any]:
        try:
            changed = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if changed != self.read:
            self.read, self.known = changed, json.loads(self.path.read_text())
        return self.known

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        faults = self.faults() if scope["type"] == "http" else {}
        if scope["type"] == "http" and scope["path"] in ASKED:
            await asyncio.sleep(1e9 if faults.get("hang") else faults.get("slow", 0) / 1000)
            if random.random() < faults.get("errors", 0):
                # Off this machine it is the server that counts.
                counts: Any = getattr(getattr(self.app, "_server", self.app), "metrics", None)
                if hasattr(counts, "answered"):
                    counts.answered(500, 0.0)
                await answer(send, 500, {"detail": "planted"})
                return
        if faults.get("mute") and scope["path"] == "/metrics":
            await answer(send, 500, {"detail": "planted"})
            return
        if not {"shift", "version"} & faults.keys() or scope.get("path") == "/ready":
            await self.app(scope, receive, send)
            return
        await self.changed(scope, receive, send, faults)

    async def changed(self, scope: Any, receive: Any, send: Any, faults: dict[str, Any]) -> None:
        """Pass the request on, and change what comes back."""
        started: dict[str, Any] = {}
        parts: list[bytes] = []

        async def collect(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = altered(scope["path"], b"".join(parts), faults)
            kept = [h for h in started["headers"] if h[0].lower() != b"content-length"]
            length = (b"content-length", str(len(body)).encode())
            await send({**started, "headers": [*kept, length]})
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, collect)


def altered(path: str, body: bytes, faults: dict[str, Any]) -> bytes:
    """Return an answer with its faults."""
    shift, version = faults.get("shift", 0), faults.get("version")
    if path == "/metrics":
        return metrics(body.decode(), shift, version).encode()
    if path not in ASKED or not body.startswith(b"{"):
        return body
    told = json.loads(body)
    if "predictions" in told:
        told["predictions"] = [value + shift for value in told["predictions"]]
    if version and "version" in told:
        told["version"] = version
    return json.dumps(told).encode()


def metrics(text: str, shift: float, version: str | None) -> str:
    """Return the counts as if the predictions, or the version, had been others."""
    if version:
        import re

        text = re.sub(r'(\{|,)version="[^"]*"', rf'\1version="{version}"', text)
    if not shift:
        return text
    lines = text.splitlines()
    buckets = [i for i, line in enumerate(lines) if line.startswith("mlops_prediction_bucket")]
    labels = [lines[i].split('le="')[1].split('"')[0] for i in buckets]
    reached = {float(a): float(lines[i].rsplit(" ", 1)[1]) for a, i in zip(labels, buckets)}  # noqa: B905
    for i, label in zip(buckets, labels):  # noqa: B905
        below = [count for edge, count in reached.items() if edge <= float(label) - shift]
        count = reached[float("inf")] if label == "+Inf" else max(below, default=0.0)
        lines[i] = f"{lines[i].rsplit(' ', 1)[0]} {count}"
    return "\n".join(lines) + "\n"


async def answer(send: Any, status: int, told: Any) -> None:
    body = told.encode() if isinstance(told, str) else json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Toy:
    """A stand-in that predicts numbers between 0 and 1, and counts as the server does."""

    def __init__(self, version: str) -> None:
        self.version, self.counts, self.total = version, [0] * (len(EDGES) + 1), 0
        self.outcomes: list[float] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["path"] == "/predict":
            made = [random.random() for _ in json.loads(body)["records"]]
            for value in made:
                self.counts[sum(edge < value for edge in EDGES)] += 1
            self.total += len(made)
            request = dict(scope["headers"]).get(b"x-request-id", b"").decode()
            told = {"predictions": made, "version": self.version, "request_id": request}
            await answer(send, 200, told)
        elif scope["path"] == "/feedback":
            self.outcomes.append(float(json.loads(body)["outcome"]))
            await answer(send, 200, {})
        elif scope["path"] == "/metrics":
            await answer(send, 200, self.metrics())
        else:
            await answer(send, 200, {"version": self.version})

    def metrics(self) -> str:
        mine = f'version="{self.version}"'
        lines = [
            "# TYPE mlops_predictions counter",
            f"mlops_predictions_total{{{mine}}} {self.total}",
            "# TYPE mlops_feedback counter",
            f"mlops_feedback_total{{{mine}}} {len(self.outcomes)}",
            "# TYPE mlops_feedback_sum gauge",
            f"mlops_feedback_sum{{{mine}}} {sum(self.outcomes)}",
            "# TYPE mlops_feedback_squares gauge",
            f"mlops_feedback_squares{{{mine}}} {sum(x * x for x in self.outcomes)}",
            "# TYPE mlops_prediction histogram",
        ]
        reached = 0
        for edge, count in zip([*EDGES, "+Inf"], self.counts, strict=True):
            reached += count
            lines.append(f'mlops_prediction_bucket{{{mine},le="{edge}"}} {reached}')
        return "\n".join(lines) + "\n"


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "serve"]  # SageMaker's
    given = dict(zip(words[::2], words[1::2], strict=True))
    folder = Path(given["--model"])
    path = folder / FAULT
    faults = json.loads(path.read_text()) if path.is_file() else {}
    if faults.get("crash"):
        sys.exit("planted: this model does not load")
    if faults.get("toy"):
        import uvicorn

        app = Faulty(Toy(given["--version"]), folder)
        uvicorn.run(
            app,
            host=given["--host"],
            port=int(given["--port"]),
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=3,
        )
        return
    # The real one: whatever application it hands to uvicorn gets the faults.
    import runpy

    import uvicorn

    real = uvicorn.Config.__init__

    def config(self: Any, app: Any, *rest: Any, **options: Any) -> None:
        real(self, Faulty(app, folder), *rest, **options)

    uvicorn.Config.__init__ = config  # type: ignore[method-assign]
    sys.argv[0] = "mlops.serve"
    runpy.run_module("mlops.serve", run_name="__main__")


if __name__ == "__main__":
    os.environ.setdefault("MLOPS_ENV", "dev")
    main()
