"""A generated project's server under what nobody would send, and under a hundred thousand."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from conftest import Project

pytestmark = pytest.mark.long

FEW, MANY, CLIENTS = 20_000, 100_000, 8
CHECKS = ",".join([
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
])  # fmt: skip


@contextmanager
def served(project: Project) -> Iterator[tuple[int, int]]:
    """Serve the champion; yield the port and the process id."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [str(project.environment / "bin/python"), "-m", "mlops.serve"]
    process = subprocess.Popen(
        [*command, "--model", "registry:champion", "--port", str(port)],
        cwd=project.root,
        env=os.environ | {"PYTHONPATH": str(project.root / "src")},
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            try:
                with closing(HTTPConnection("127.0.0.1", port)) as to:
                    to.request("GET", "/ready")
                    assert to.getresponse().status == 200
                    break
            except OSError:
                time.sleep(0.1)
        yield port, process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def ask(port: int, path: str) -> str:
    with closing(HTTPConnection("127.0.0.1", port)) as to:
        to.request("GET", path)
        return to.getresponse().read().decode()


def test_the_server_does_what_its_interface_says(trained: Project) -> None:
    with served(trained) as (port, _):
        address = f"http://127.0.0.1:{port}/openapi.json"
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", address]
        limits = [f"--checks={CHECKS}", "--max-examples=200", "--seed=1", "--request-timeout=20"]
        done = subprocess.run(
            [*command, *limits], cwd=trained.root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        metrics = ask(port, "/metrics")
    assert 'mlops_requests_total{status="422"}' in metrics
    assert 'mlops_requests_total{status="5' not in metrics


def load(port: int, requests: int, body: bytes) -> set[int]:
    """Send requests on several connections; return the statuses."""
    seen: set[int] = set()

    def client() -> None:
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as to:
            for _ in range(requests // CLIENTS):
                to.request("POST", "/predict", body, {"content-type": "application/json"})
                answer = to.getresponse()
                answer.read()
                seen.add(answer.status)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def resident(process: int) -> int:
    """Return a process' memory in pages."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1])


def test_memory_is_flat_over_many_requests(trained: Project) -> None:
    code = "import json; from pathlib import Path; from mlops.contract import Contract; "
    code += "print(json.dumps({'records': [Contract.read(Path('models/candidate')).example]}))"
    body = trained.run("python", "-c", code).encode()
    with served(trained) as (port, process):
        assert load(port, FEW, body) == {200}
        few = resident(process)
        assert load(port, MANY - FEW, body) == {200}
        assert resident(process) < 1.1 * few
        metrics = ask(port, "/metrics")
    assert f'mlops_requests_total{{status="200"}} {MANY:.1f}' in metrics
    assert "mlops_capture_dropped_total 0.0" in metrics
