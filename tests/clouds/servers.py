"""What answers in containers: scripted servers, for the emulators and fakes of the platforms.

They answer as ``python -m mlops.serve`` does and count with its own counters; what is wrong with a
version is set by a test. Nobody waits: how long an answer takes is only counted.
"""

import json
import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from mlops.contract import QUANTILES, Contract, Field
from mlops.serve.metrics import Metrics
from onnx import TensorProto, helper

LOW, SPAN = 0.1, 0.8  # the model: LOW + SPAN * x
Answer = tuple[int, dict[str, Any]]

CONTRACT = Contract(
    name="flight-delays",
    task="classification",
    fields=[
        Field(
            name="x",
            kind="number",
            minimum=0,
            maximum=1,
            example=0.25,
            typical=0.5,
            usual=(0.0, 1.0),
        )
    ],
    quantiles=[LOW + SPAN * share for share in QUANTILES],
)


def write_model(folder: Path, version: int) -> Path:
    """Write a model that answers as these servers do; each version's file is another."""
    folder.mkdir(parents=True, exist_ok=True)
    constants = [helper.make_tensor(n, TensorProto.FLOAT, [1], [v]) for n, v in _WEIGHTS.items()]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "span"], ["product"]),
            helper.make_node("Add", ["product", "low"], ["prediction"]),
        ],
        f"version-{version}",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    CONTRACT.write(folder)
    return folder


_WEIGHTS = {"span": SPAN, "low": LOW}


@dataclass
class Script:
    """What is wrong with a version; nothing, as it is made."""

    crash: bool = False  # before it is ready
    says: str = ""  # the version that it gives itself out for
    errors: float = 0.0  # share of answers that are 500
    seconds: float = 0.005  # until an answer
    shift: float = 0.0  # of each prediction


class Servers:
    """One server for each version, as often as it stands somewhere.

    A platform calls :meth:`answer` for each request that it routes to a slot, mirrored ones too,
    and shows :meth:`lines` as the container's log.
    """

    def __init__(self) -> None:
        self.scripts: defaultdict[int, Script] = defaultdict(Script)
        self._metrics: dict[int, Metrics] = {}
        self._ids: dict[int, str] = {}
        self._errors: defaultdict[int, float] = defaultdict(float)
        self._turns: dict[str, float] = {}
        self._random = random.Random(1)
        self._lock = threading.RLock()

    def ready(self, version: int) -> bool:
        """Tell whether GET /ready (and /ping, /health) of a container would be answered by 200."""
        return not self.scripts[version].crash

    def answer(self, version: int, body: Mapping[str, Any]) -> Answer:
        """Answer POST /invocations; return status and answer."""
        with self._lock:
            if not self.ready(version):
                return 503, {"detail": "nobody listens"}
            if "path" in body:
                return self._elsewhere(version, str(body["path"]), body.get("body"))
            status, answer, seconds = self._predict(version, body)
            self._counts(version).answered(status, seconds)
            return status, answer

    def text(self, version: int) -> str:
        """Return GET /metrics."""
        with self._lock:
            return self._counts(version).text().decode()

    def lines(self, version: int) -> list[str]:
        """Return what the server prints now: its counts, or why it does not start."""
        if not self.ready(version):
            return ["MlopsError: model.onnx does not answer its own example"]
        told = {"server": self._ids.setdefault(version, uuid.uuid4().hex), "text": ""}
        told["text"] = self.text(version)
        return ["answers on port 8080", json.dumps({"figures": told})]

    def restart(self, version: int) -> None:
        """Begin at nothing, as a container does that the platform has replaced."""
        with self._lock:
            self._metrics.pop(version, None)
            self._ids.pop(version, None)

    def record(self) -> dict[str, float]:
        """Return one record as callers send them: ``{"records": [record]}``."""
        with self._lock:
            return {"x": self._random.random()}

    def pick(self, weights: Mapping[str, float]) -> str:
        """Return whose turn it is, each as often as its weight says (no chance is in it)."""
        with self._lock:
            total = sum(weights.values())
            for name, weight in weights.items():
                self._turns[name] = self._turns.get(name, 0.0) + weight / total
            chosen = max(weights, key=lambda name: self._turns[name] if weights[name] else -1e9)
            self._turns[chosen] -= 1
            return chosen

    def _counts(self, version: int) -> Metrics:
        if version not in self._metrics:
            says = self.scripts[version].says or str(version)
            self._metrics[version] = Metrics(CONTRACT, says, "0" * 64)
        return self._metrics[version]

    def _predict(self, version: int, body: Mapping[str, Any]) -> tuple[int, dict[str, Any], float]:
        script, counts = self.scripts[version], self._counts(version)
        counts.version = script.says or str(version)
        seconds = script.seconds * self._random.uniform(0.8, 1.2)
        records = body.get("records", body.get("instances"))
        if not isinstance(records, list) or not records:
            return 422, _refusal("records", "a list is required"), seconds
        for record in records:
            value = record.get("x") if isinstance(record, dict) else None
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                return 422, _refusal("x", "a number from 0 to 1"), seconds
        self._errors[version] += script.errors
        if self._errors[version] >= 1:
            self._errors[version] -= 1
            return 500, {"detail": "The model failed; the log has the reason."}, seconds
        values = [LOW + SPAN * record["x"] + script.shift for record in records]
        counts.predicted(records, values, [[] for _ in records])
        return 200, self._signed(version, {"predictions": values}), seconds

    def _elsewhere(self, version: int, path: str, body: Any) -> Answer:
        if path == "/feedback":
            if body["version"] == str(version):
                self._counts(version).happened(body["outcome"])
            return 202, {"request_id": body["request_id"]}
        if path == "/health":
            return 200, {"status": "alive"}
        if path == "/ready":
            return 200, self._signed(version, {"digest": "0" * 64})
        return 404, {"detail": "Not Found"}

    def _signed(self, version: int, answer: dict[str, Any]) -> dict[str, Any]:
        told = {"version": self.scripts[version].says or str(version)}
        return {**answer, **told, "request_id": uuid.uuid4().hex}


def _refusal(field: str, message: str) -> dict[str, Any]:
    return {"detail": [{"loc": ["body", "records", 0, field], "msg": message, "type": "value"}]}
