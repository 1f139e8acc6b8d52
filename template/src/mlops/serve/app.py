"""The online server: an ASGI application that answers for one model.

FastAPI documents every endpoint and answers the small ones. Requests with a body go past its
machinery: one pydantic model decodes and checks them, which costs a tenth of a framework's way.
"""

import asyncio
import itertools
import json
import logging
import math
import os
import re
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fastapi import FastAPI, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json

from ..contract import Contract
from ..errors import MlopsError
from ..lineage import sha256
from ..scorer import SERVED, Scorer
from ..settings import Paths, Settings, environment_name
from . import schema
from .auth import Check, check
from .capture import Capture, location
from .explain import shapley
from .metrics import Metrics, Usual
from .schema import Refusal, Schema

Array = NDArray[np.floating[Any]]
Message = MutableMapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Message], Any]
Header = tuple[bytes, bytes]

INLINE = 16 * 1024  # bytes of a body, some 32 records: less work than handing it to a thread
SLOW = 0.005  # seconds of one prediction, past which every one is handed to a thread
THREADS = 2
WAITING = 64  # requests that wait for a thread at most
LATE = "late"
GONE = 499  # the caller left before there was an answer; nginx' number
SANE = re.compile(r"[!-~]{1,128}")

log = logging.getLogger(__name__)


class Call(NamedTuple):
    """One request's name, and its caller's if given."""

    id: str
    caller: str | None


Work = Callable[[bytes, Call], bytes]


class Endpoint(NamedTuple):
    """A path that takes a body. ``inline`` is the largest that is answered without a thread."""

    work: Work
    request: type[BaseModel]
    answer: type[BaseModel]
    inline: int
    status: int = 200


class Model:
    """One version of the model, ready to answer.

    Raises:
        MlopsError: there is no ONNX model, it is another one than the gates passed, or its inputs
            are not the contract's.
    """

    def __init__(self, folder: Path, version: str) -> None:
        self.version, self.digest = version, verified(folder)
        self.contract = Contract.read(folder)
        try:
            self.scorer = Scorer(folder / SERVED)
            started = time.perf_counter()
            self.predict([self.contract.example])
            self.predict([self.contract.example])
            self.slow = (time.perf_counter() - started) / 2 > SLOW
        except Exception as error:  # onnxruntime raises its own, and knows no common base
            raise MlopsError(
                f"{folder / SERVED} does not answer its own example: {error}"
            ) from error

    def predict(self, records: list[dict[str, Any]]) -> Array:
        """Return the records' predictions; raise a 422 where one is no number."""
        predictions = self.scorer.answer(records)
        # Faster than numpy's for the few rows that most requests have.
        if not all(map(math.isfinite, predictions.ravel().tolist())):
            row = int(np.argwhere(~np.isfinite(predictions))[0][0])
            message = "the model has no prediction for these values"
            loc = ["body", "records", row]
            raise Refusal(422, [{"loc": loc, "msg": message, "type": "no_prediction"}])
        return predictions


def verified(folder: Path) -> str:
    """Return the model's digest. Nothing but an .onnx file is opened.

    Raises:
        MlopsError: it is missing, or not the one that its lineage and gate record are about.
    """
    path = folder / SERVED
    if folder.is_file() or not path.is_file():
        others = [folder] if folder.is_file() else sorted(folder.glob("*.*"))
        names = ", ".join(other.name for other in others) or "nothing"
        raise MlopsError(f"{folder} holds no {SERVED} but {names}: only ONNX is served.")
    digest = sha256(path)
    for name, key in (("lineage.json", "digest"), ("gates.json", "model")):
        record = folder / name
        known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
        if known.get(key, digest) != digest:
            raise MlopsError(
                f"{path} is {digest[:12]}, but {name} is about {known[key][:12]}: it was replaced."
            )
    return digest


class Server:
    """The ASGI application.

    Every request gets an id, and every answer that id and the model's version. ``draining`` says
    that the process is about to end.
    """

    def __init__(self, model: Model, settings: Settings, paths: Paths) -> None:
        self.model, self.limits = model, settings.serving
        self.draining = False
        self.metrics = Metrics(model.contract, model.version, model.digest)
        self._schema = Schema(model.contract, self.limits.max_batch)
        self._usual = Usual(model.contract)
        self._typical = {field.name: field.typical for field in model.contract.fields}
        self._check: Check = check(settings)
        self._capture = Capture(
            location(paths.deployments, environment_name(), model.version),
            model.contract,
            environment_name(),
            self.metrics,
            rows=self.limits.capture_rows,
            predictions=self.limits.capture,
        )
        self._records = TypeAdapter(self._schema.records).validator
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="predict")
        self._waiting = 0
        self._ids = (f"{stem}-{n:08x}" for stem in [os.urandom(8).hex()] for n in itertools.count())
        self._version = (b"x-model-version", model.version.encode())
        inline = 0 if model.slow else INLINE
        self.endpoints = {
            "/predict": Endpoint(self.predict, self._schema.records, schema.Predictions, inline),
            "/explain": Endpoint(self.explain, self._schema.record, schema.Explanation, 0),
            "/feedback": Endpoint(
                self.feedback, schema.Feedback, schema.Received, INLINE, status=202
            ),
        }
        self.rest = _documented(self)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, whatever comes."""
        if scope["type"] != "http":
            await self.rest(scope, receive, send)
            return
        started, status = time.perf_counter(), GONE
        headers = dict(scope["headers"])
        call = Call(_sane(headers, b"x-request-id") or next(self._ids), _sane(headers, b"x-caller"))
        endpoint = self.endpoints.get(scope["path"]) if scope["method"] == "POST" else None
        if endpoint is None:
            await self.rest(scope, receive, self._tagging(send, call))
            return
        try:
            status, answer, more = await self._answered(endpoint, headers, receive, call)
            fields = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(answer)),
                *self._tags(call),
                *more,
            ]
            await send({"type": "http.response.start", "status": status, "headers": fields})
            await send({"type": "http.response.body", "body": answer})
        except Disconnected:
            pass
        finally:
            if scope["path"] == "/predict":
                self.metrics.answered(status, time.perf_counter() - started)

    def predict(self, body: bytes, call: Call) -> bytes:
        """Answer /predict; count and capture it."""
        records = self._records.validate_json(body).records
        predictions = self.model.predict(records)
        values = (predictions.max(axis=1) if predictions.ndim == 2 else predictions).tolist()
        answers = predictions.tolist()
        unusual = [self._usual.misses(*pair) for pair in zip(records, values, strict=True)]
        answer = to_json(
            {"predictions": answers, "version": self.model.version, "request_id": call.id}
        )
        self.metrics.predicted(records, values, unusual)
        self._capture.predicted(call.id, call.caller, body, records, answer, unusual)
        return answer

    def explain(self, body: bytes, call: Call) -> bytes:
        """Answer /explain."""
        record = TypeAdapter(self._schema.record).validate_json(body).record  # type: ignore[attr-defined]
        prediction = self.model.predict([record])[0]
        base, contributions = shapley(self.model.scorer.predict, record, self._typical)
        return to_json(
            {
                "prediction": prediction.tolist(),
                "base": base.tolist(),
                "contributions": {name: value.tolist() for name, value in contributions.items()},
                "version": self.model.version,
                "request_id": call.id,
            }
        )

    def feedback(self, body: bytes, call: Call) -> bytes:
        """Answer /feedback: every outcome is kept, and this version's are counted."""
        given = schema.Feedback.model_validate_json(body)
        if given.version == self.model.version:
            self.metrics.happened(given.outcome)
        self._capture.happened(given.request_id, given.version, given.outcome)
        return to_json({"request_id": given.request_id})

    def close(self) -> None:
        """Write what is captured."""
        self._threads.shutdown(cancel_futures=True)
        self._capture.close()

    async def _answered(
        self, endpoint: Endpoint, headers: dict[bytes, bytes], receive: Receive, call: Call
    ) -> tuple[int, bytes, list[Header]]:
        """Return the answer to a request with a body: status, content, headers of its own."""
        try:
            await self._check(headers)
            body = await self._read(headers, receive)
            return endpoint.status, await self._work(endpoint, body, call), []
        except Refusal as refusal:
            more = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
            return refusal.status, to_json({"detail": refusal.detail}), more
        except Disconnected:
            raise
        except Exception:
            log.exception("request %s failed", call.id)
            return 500, b'{"detail":"The model failed; the log has the reason."}', []

    def _tags(self, call: Call) -> list[Header]:
        """Return the headers that every answer has."""
        tags = [(b"x-request-id", call.id.encode()), self._version]
        return [*tags, (b"connection", b"close")] if self.draining else tags

    def _tagging(self, send: Send, call: Call) -> Send:
        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._tags(call)]
            await send(message)

        return tagged

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Return the body; refuse what is not JSON, too large or too slow."""
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Refusal(415, "Send JSON: content-type: application/json.")
        limit = self.limits.max_body_kb * 1024
        body, size = b"", int(headers.get(b"content-length", 0))
        task = asyncio.current_task()
        assert task  # noqa: S101 (always within one)
        # A third of what asyncio.timeout costs.
        timer = task.get_loop().call_later(self.limits.timeout, task.cancel, LATE)
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                more = message.get("more_body", False)
                size = max(size, len(body) + len(message.get("body", b"")))
                if size <= limit:  # else it is read to its end, so that the refusal is heard
                    body += message.get("body", b"")
        except asyncio.CancelledError as error:
            if error.args != (LATE,):
                raise
            task.uncancel()
            late = f"The body did not come within {self.limits.timeout:g} s."
            raise Refusal(408, late, CLOSE) from None
        finally:
            timer.cancel()
        if size > limit:
            raise Refusal(413, f"A body holds at most {self.limits.max_body_kb} kB.")
        return body

    async def _work(self, endpoint: Endpoint, body: bytes, call: Call) -> bytes:
        """Return the answer; made here if that is quick, else in a thread."""
        if len(body) <= endpoint.inline:
            return self._answer(endpoint.work, body, call)
        if self._waiting >= WAITING:
            raise Refusal(503, f"{WAITING} requests are waiting already.", RETRY)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            made = loop.run_in_executor(self._threads, self._answer, endpoint.work, body, call)
            return await asyncio.wait_for(made, self.limits.timeout)
        except TimeoutError:
            late = f"There was no answer within {self.limits.timeout:g} s."
            raise Refusal(503, late, RETRY) from None
        finally:
            self._waiting -= 1

    def _answer(self, work: Work, body: bytes, call: Call) -> bytes:
        try:
            return work(body, call)
        except ValidationError as error:
            raise self._schema.refusal(error) from None


class Disconnected(Exception):  # noqa: N818
    """The caller has gone before the request was whole."""


CLOSE = {"connection": "close"}  # the rest of the body is not read
RETRY = {"retry-after": "1"}
SECURITY: dict[str, Any] = {
    "api-key": APIKeyHeader(name="x-api-key", auto_error=False),
    "oidc": HTTPBearer(bearerFormat="JWT", auto_error=False),
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": schema.Refused, "description": "Not authorised"},
    408: {"model": schema.Refused, "description": "The body came too slowly"},
    413: {"model": schema.Refused, "description": "The body is too large"},
    415: {"model": schema.Refused, "description": "The body is not JSON"},
    422: {"model": schema.Faults, "description": "A field, and what is allowed"},
    503: {"model": schema.Refused, "description": "Too busy, or about to end"},
}


def create(folder: Path, version: str, settings: Settings, paths: Paths | None = None) -> Server:
    """Return the application for the model in ``folder``.

    Raises:
        MlopsError: the model or a setting cannot be used.
    """
    return Server(Model(folder, version), settings, paths or Paths())


def _documented(server: Server) -> FastAPI:
    """Return the FastAPI application: the OpenAPI of all endpoints, and those without a body."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        server.close()

    model = server.model
    app = FastAPI(title=model.contract.name, version=model.version, lifespan=life)
    scheme = SECURITY.get(server.limits.auth)
    for path, endpoint in server.endpoints.items():

        def never(body: Any) -> None:
            """Is documented here and answered by the server, which stands before."""

        never.__annotations__["body"] = endpoint.request
        app.add_api_route(
            path,
            never,
            methods=["POST"],
            name=path[1:].capitalize(),
            description=endpoint.answer.__doc__,
            response_model=endpoint.answer,
            status_code=endpoint.status,
            responses=REFUSALS,
            dependencies=[Security(scheme)] if scheme else None,
        )

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Tell that the process is alive."""
        return {"status": "alive"}

    @app.get("/ready", response_model=schema.Ready, responses={503: REFUSALS[503]})
    async def ready() -> Response:
        """Tell whether requests should be sent here, and which model answers."""
        if server.draining:
            return Response(b'{"detail":"draining"}', 503, media_type="application/json")
        shown = schema.Ready(version=model.version, digest=model.digest)
        return Response(shown.model_dump_json(), media_type="application/json")

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return the counts, for Prometheus."""
        return Response(server.metrics.text(), media_type="text/plain; version=0.0.4")

    return app


def _sane(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    text = value.decode("latin-1") if value else ""
    return text if SANE.fullmatch(text) else None
