"""Real servers in a platform's containers, for `make demo PROVIDER=…`.

``python -m clouds.processes PROVIDER PROJECT`` starts the provider's emulator or fake for a
generated project, writes what the project has to know into ``build/platform.json`` there, and goes
on until a signal comes.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from clouds.servers import Answer, Servers

START_SECONDS = 60.0


class Processes(Servers):
    """A server of the project for each version that is asked for."""

    def __init__(self, project: Path) -> None:
        super().__init__()
        self.project = project
        self._started: dict[int, tuple[subprocess.Popen[str], int, list[str]]] = {}

    def ready(self, version: int) -> bool:
        """Tell whether the version's server answers, which is started for it."""
        with self._lock:
            _, port, _ = self._server(version)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                return bool(urlopen(f"http://127.0.0.1:{port}/ready", timeout=2).status == 200)
            except OSError:
                time.sleep(0.1)
        return False

    def answer(self, version: int, body: Mapping[str, Any]) -> Answer:
        """Ask the version's server."""
        _, port, _ = self._server(version)
        request = Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    def text(self, version: int) -> str:
        """Return the server's metrics."""
        _, port, _ = self._server(version)
        return str(urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode())

    def lines(self, version: int) -> list[str]:
        """Return what the server has printed since it was last asked."""
        _, _, printed = self._server(version)
        found, printed[:] = printed[:], []
        return found

    def close(self) -> None:
        """End the servers."""
        for child, _, _ in self._started.values():
            child.terminate()
        for child, _, _ in self._started.values():
            child.wait(timeout=30)

    def _server(self, version: int) -> tuple[subprocess.Popen[str], int, list[str]]:
        if version not in self._started:
            (model,) = (self.project / "models/registry").glob(f"{version}-*")
            port, printed = free_port(), list[str]()
            command = [str(self.project / ".venv/bin/python"), "-m", "mlops.serve"]
            command += ["--model", str(model), "--version", str(version)]
            command += ["--host", "127.0.0.1", "--port", str(port), "serve"]
            more = {"MLOPS_SERVING__AUTH": "off", "MLOPS_SERVING__FIGURES": "1"}
            child = subprocess.Popen(
                command,
                cwd=self.project,
                env={**os.environ, **more},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            threading.Thread(target=_listen, args=(child, printed), daemon=True).start()
            self._started[version] = child, port, printed
        return self._started[version]


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _listen(child: subprocess.Popen[str], printed: list[str]) -> None:
    assert child.stdout is not None
    printed.extend(line.rstrip("\n") for line in child.stdout)


def main(provider: str, project: Path) -> None:
    """Run a platform until a signal comes; once a second it counts what it has seen."""
    with tempfile.TemporaryDirectory() as folder:
        platform = import_module(f"clouds.{provider}").Platform(Path(folder))
        platform.servers = servers = Processes(project)
        given = platform.settings()
        told = {"variables": platform.variables, "target": given.target, "cloud": given.cloud}
        path = project / "build/platform.json"
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".new").write_text(json.dumps(told), encoding="utf-8")
        path.with_suffix(".new").replace(path)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        while not ended.wait(1):
            platform.send(0)
        servers.close()
        platform.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
