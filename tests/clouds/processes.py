"""Real servers in a platform's containers, for `make demo PROVIDER=…`.

``python -m clouds.processes PROVIDER PROJECT`` starts the provider's emulator or fake for a
generated project, writes what the project has to know into ``build/platform.json`` there, and goes
on until a signal comes.
"""

import json
import logging
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
Started = tuple[subprocess.Popen[str], int, list[str]]  # with its port, and what it printed


class Processes(Servers):
    """A server of the project for each version that is asked for."""

    def __init__(self, project: Path, one_path: bool) -> None:
        super().__init__()
        self.project, self.one_path = project, one_path  # a cloud's endpoint has but one
        self._started: dict[int, Started] = {}

    def ready(self, version: int) -> bool:
        """Tell whether the version's server answers, which is started for it."""
        return self._wait(self._server(version)[1])

    def answer(self, version: int, body: Mapping[str, Any]) -> Answer:
        """Ask the version's server."""
        _, port, _ = self._server(version)
        path, sent = "/invocations", body
        if not self.one_path:
            path, sent = (body["path"], body["body"]) if "path" in body else ("/predict", body)
        request = Request(
            f"http://127.0.0.1:{port}{path}",
            None if sent is None else json.dumps(sent).encode(),
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

    def restart(self, version: int) -> None:
        """Put a new server in the place of the one that answers, which goes on until then."""
        with self._lock:
            before = self._started.get(version)
        if before:
            after = self._start(version)
            self._wait(after[1])
            self._started[version] = after
            before[0].terminate()  # it answers what it has begun

    def close(self) -> None:
        """End the servers."""
        for child, _, _ in self._started.values():
            child.terminate()
        for child, _, _ in self._started.values():
            child.wait(timeout=30)

    def _server(self, version: int) -> Started:
        with self._lock:
            if version not in self._started:
                self._started[version] = self._start(version)
            return self._started[version]

    def _start(self, version: int) -> Started:
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
        return child, port, printed

    def _wait(self, port: int) -> bool:
        """Tell whether a server comes to answer."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                return bool(urlopen(f"http://127.0.0.1:{port}/ready", timeout=2).status == 200)
            except OSError:
                time.sleep(0.1)
        return False


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _listen(child: subprocess.Popen[str], printed: list[str]) -> None:
    assert child.stdout is not None
    printed.extend(line.rstrip("\n") for line in child.stdout)


def main(provider: str, project: Path) -> None:
    """Run a platform until a signal comes; once a second it counts what it has seen."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name in [name for name in os.environ if name.startswith("MLOPS_")]:
        del os.environ[name]  # the project's, not the platform's
    with tempfile.TemporaryDirectory() as folder:
        module: Any = import_module(f"clouds.{provider}")
        module.NAME = f"{project.name}-dev"  # Kubernetes' fake knows one environment by its name
        platform = module.Platform(Path(folder))
        platform.servers = servers = Processes(project, provider != "kubernetes")
        given = platform.settings()
        serving = {"MLOPS_SERVING__AUTH": given.serving.auth}
        variables = {**platform.variables, **serving}
        told = {"variables": variables, "target": given.target, "cloud": given.cloud}
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
