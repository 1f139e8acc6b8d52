"""The server as a process of its own, on loopback."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mlops.contract import Contract
from mlops.settings import Paths

pytestmark = pytest.mark.serving

ROOT = Path(__file__).parents[2]
HEAVY = ["dvc", "jwt", "mlflow", "pandas", "pandera", "joblib", "skops", "sklearn"]


class Server:
    """One process, and a connection for each request."""

    def __init__(self, model: Path, folder: Path, **variables: str) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "mlops.serve", "--model", str(model.resolve())]
        self.process = subprocess.Popen(
            [*command, "--version", "7", "--port", str(self.port)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while self.process.poll() is None:
            try:
                assert self.ask("/ready")[0] == 200
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(self.process.communicate()[0])

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the answer; one that is no JSON as text."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as to:
            content = body if isinstance(body, bytes) else json.dumps(body)
            kind = {"content-type": "application/json"} | headers
            to.request("GET" if body is None else "POST", path, content, kind)
            answer = to.getresponse()
            text = answer.read().decode()
            json_ = answer.getheader("content-type") == "application/json"
            return answer.status, json.loads(text) if json_ else text

    def end(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        return self.process.returncode


Start = Callable[..., Server]


@pytest.fixture
def start(candidate: Paths, tmp_path: Path) -> Iterator[Start]:
    """Start servers of the candidate, in a folder of their own."""
    (tmp_path / "environments").symlink_to(ROOT / "environments")
    started = []

    def start(**variables: str) -> Server:
        started.append(Server(candidate.model, tmp_path, **variables))
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        server.process.communicate()


@pytest.fixture
def record(candidate: Paths) -> dict[str, Any]:
    return Contract.read(candidate.model).example


def test_valid_batch_and_invalid_requests(start: Start, record: dict[str, Any]) -> None:
    server = start()
    status, answer = server.ask("/predict", {"records": [record]})
    assert (status, answer["version"], len(answer["predictions"])) == (200, "7", 1)
    status, batch = server.ask("/predict", {"records": [record] * 500})
    assert batch["predictions"] == pytest.approx(answer["predictions"] * 500, abs=1e-5)
    name = next(iter(record))
    status, refused = server.ask("/predict", {"records": [record | {name: []}]})
    assert (status, refused["detail"][0]["loc"]) == (422, ["body", "records", 0, name])
    status, refused = server.ask("/predict", b"\x00" * 2**21)
    assert status == 413
    status, explained = server.ask("/explain", {"record": record})
    assert (status, explained["prediction"]) == (200, answer["predictions"][0])
    feedback = {"request_id": answer["request_id"], "version": "7", "outcome": 1}
    assert server.ask("/feedback", feedback)[0] == 202
    assert server.ask("/health") == (200, {"status": "alive"})
    assert server.ask("/ready")[1]["version"] == "7"
    assert 'mlops_requests_total{status="200"} 2.0' in server.ask("/metrics")[1]
    assert server.ask("/openapi.json")[1]["info"]["version"] == "7"


def test_nothing_that_comes_over_the_line_ends_it(start: Start, record: dict[str, Any]) -> None:
    server = start(MLOPS_SERVING__TIMEOUT="0.3")
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    lines = {
        head + b"content-length: 10\r\n\r\n{": b"408",  # the rest never comes
        head + b"content-length: x\r\n\r\n{}": b"400",
        head + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n": b"422",
        b"\x16\x03\x01\x02\x00\x01\x00": b"400",
        head + b"x-request-id: \xff\xfe\r\ncontent-length: 2\r\n\r\n{}": b"422",
    }
    for line, status in lines.items():
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as to:
            to.sendall(line)
            assert to.recv(4096).split(b" ", 2)[1] == status
    with socket.create_connection(("127.0.0.1", server.port)) as to:
        to.sendall(head + b"content-length: 10\r\n\r\n{")  # and leaves
    assert server.ask("/predict", {"records": [record]})[0] == 200
    assert 'status="500"' not in server.ask("/metrics")[1]


def test_it_drains_before_it_ends(start: Start, record: dict[str, Any], tmp_path: Path) -> None:
    server = start()
    codes: list[int] = []

    def load() -> None:
        while server.ask("/ready")[0] == 200:
            codes.append(server.ask("/predict", {"records": [record] * 200})[0])
        # A proxy may send a few more before it knows.
        codes.append(server.ask("/predict", {"records": [record] * 200})[0])

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(codes) < 6:
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    output = server.process.communicate(timeout=60)[0]
    assert server.process.returncode == 0, output
    assert codes == [200] * len(codes)
    assert len(captured(tmp_path)) == 200 * len(codes)


def captured(folder: Path) -> list[str]:
    """Return the request ids of all captured rows."""
    with closing(sqlite3.connect(folder / "deployments/dev/capture-7.db")) as database:
        return [row[0] for row in database.execute("SELECT request_id FROM prediction")]


def test_replicas_share_one_capture(start: Start, record: dict[str, Any], tmp_path: Path) -> None:
    replicas = [start(), start()]
    ids = {
        server.ask("/predict", {"records": [record]})[1]["request_id"]
        for _ in range(20)
        for server in replicas
    }
    assert [server.end() for server in replicas] == [0, 0]
    assert len(ids) == 40
    assert sorted(captured(tmp_path)) == sorted(ids)


def test_keys_are_asked_for(start: Start, record: dict[str, Any]) -> None:
    server = start(MLOPS_SERVING__AUTH="api-key", MLOPS_API_KEYS="one,two")
    assert server.ask("/predict", {"records": [record]})[0] == 401
    assert server.ask("/predict", {"records": [record]}, **{"x-api-key": "two"})[0] == 200


def test_what_cannot_be_served_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "environments").symlink_to(ROOT / "environments")
    command = [sys.executable, "-m", "mlops.serve", "--model", "nowhere", "--version", "1"]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("MlopsError: nowhere holds no model.onnx")
    assert done.stderr.count("\n") == 1


def test_a_server_carries_nothing_that_training_needs() -> None:
    code = "import sys, mlops.serve.app, mlops.serve.__main__; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint(HEAVY)
    assert "onnxruntime" in loaded
