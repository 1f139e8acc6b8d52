"""Two Deployments behind an HTTPRoute of the Gateway API: deploy/slot.yaml and deploy/route.yaml.

All else is applied from deploy/overlays/ and never touched here. Pods are asked, and tell their
counters, through the API server. The Gateway API's standard channel can't keep a caller with a
slot: ``sticky`` traffic is split by request. Nor is there anybody to keep a lease.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

from ...cloud.base import CloudError
from ...cloud.kubernetes import Cloud, Object
from ...errors import MlopsError
from ...settings import Settings
from ..traffic import CHAMPION, Slot, Slots, Traffic
from .base import DeployError, State, Window
from .figures import Figures, grown, own, read

SLOTS: tuple[Slot, ...] = get_args(Slot)
VERSION, INSTANCE = "app.kubernetes.io/version", "app.kubernetes.io/instance"
OWNER = "mlops/champion"  # annotation of the route: the champion's slot
POLL = 2.0  # seconds between two looks
READY_SECONDS = 900.0  # until a slot's pods are ready: machines may be started for them
ROUTE_SECONDS = 60.0  # until the gateway goes by the route
HOPELESS = {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}


class Mark(NamedTuple):
    """A moment: each pod's counters, and how often each has been started again."""

    figures: dict[Slot, Figures]
    restarts: dict[str, int]


class KubernetesTarget:
    """One environment in a namespace; see :class:`~.base.Target`."""

    def __init__(self, environment: str, settings: Settings) -> None:
        self.environment, self.settings = environment, settings
        self.cloud = Cloud.read(settings, environment)
        self.cloud.need("image", "gateway", "host")
        self.cluster = self.cloud.cluster()
        self.name, self.poll = self.cloud.name, POLL

    def refuse(self, traffic: Traffic) -> None:
        """An HTTPRoute carries all of it, by request where callers should be told apart."""

    def deploy(self, slot: Slot, version: int, folder: Path) -> None:
        """Let a slot run the image of a version, and return once all its pods are ready.

        Raises:
            DeployError: they crash, find no room, or are not ready in time. The slot is empty.
            MlopsError: nothing was changed: the slot answers callers with another version.
        """
        standing = self._deployment(slot)
        if standing is None or _version(standing) != version:
            if standing and self._gets(slot):
                raise MlopsError(f"The {slot} slot answers callers with {_version(standing)}.")
            self.cluster.apply(self._filled(slot, version))
        self._ready(slot, version)

    def ask(
        self, slot: Slot | None, path: str, body: Any | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send one request to a pod of a slot, or (None) through the gateway as callers do."""
        if slot is None:
            status, content = self._call(path, body)
        else:
            pods = [pod["metadata"]["name"] for pod in self._pods(slot) if _is_ready(pod)]
            if not pods:
                raise MlopsError(f"The {slot} slot of {self.environment} has no pod that is ready.")
            status, content = self.cluster.ask(pods[0], path, body, self._headers())
        try:
            return status, json.loads(content)
        except ValueError as error:
            said = content[:200].decode(errors="replace")
            raise MlopsError(f"{path}: {status}, and no JSON: {said}") from error

    def route(self, traffic: Traffic, slots: Slots, lease: float | None = None) -> None:
        """Set the traffic and the champion's slot, and return once the gateway has accepted it.

        Raises:
            MlopsError: the challenger's slot is empty, or the gateway does not accept the route.
        """
        wanted = self._routed(traffic, slots)
        live = self.cluster.get("HTTPRoute", self.name)
        if not _holds(live, wanted):
            if traffic != CHAMPION and self._deployment(slots.challenger) is None:
                raise MlopsError(f"{traffic}: there is nothing in the {slots.challenger} slot.")
            live = self.cluster.apply(wanted)
        end = time.monotonic() + ROUTE_SECONDS
        while faults := _faults(live or {}, self.cloud.gateway):
            if time.monotonic() > end:
                raise MlopsError(
                    f"environments/{self.environment}.yaml: the gateway {self.cloud.gateway} has "
                    f"not accepted the route {self.name}: {faults}. Are cloud.gateway, "
                    "cloud.gateway_namespace and cloud.host right, and is "
                    f"deploy/overlays/{self.environment} applied?"
                )
            time.sleep(self.poll)
            live = self.cluster.get("HTTPRoute", self.name)

    def mark(self) -> Mark:
        """Return this moment, for :meth:`observe`."""
        pods = {slot: self._pods(slot) for slot in SLOTS}
        return Mark(
            {slot: dict(self._figures(found)) for slot, found in pods.items() if found},
            {name: count for found in pods.values() for name, count in _restarts(found)},
        )

    def observe(self, since: Mark) -> dict[Slot, Window]:
        """Return what each slot did since then, by its pods; one that broke down is an error."""
        found = {}
        for slot in SLOTS:
            if not (pods := self._pods(slot)):
                continue
            before, now = since.figures.get(slot, {}), dict(self._figures(pods))
            told = [grown(now, before, name) for name in now]
            seen = own([one for one in told if one is not None])
            broken = sum(count - since.restarts.get(name, 0) for name, count in _restarts(pods))
            counts = {"requests": seen.requests + broken, "errors": seen.errors + broken}
            found[slot] = seen.model_copy(update=counts)
        return found

    def remove(self, slot: Slot) -> None:
        """Delete the Deployment of a slot that gets no traffic.

        Raises:
            MlopsError: it gets traffic.
        """
        if self._deployment(slot) is None:
            return
        if self._gets(slot):
            raise MlopsError(
                f"The {slot} slot of {self.environment} answers callers: give its traffic to the "
                "other slot first."
            )
        self.cluster.delete("Deployment", self._slot(slot))

    def state(self) -> State:
        """Return what stands now."""
        found = {slot: self._deployment(slot) for slot in SLOTS}
        standing = {slot: one for slot, one in found.items() if one}
        route = self.cluster.get("HTTPRoute", self.name)
        slots, traffic = self._traffic(route)
        return State(
            versions={slot: _version(one) for slot, one in standing.items()},
            ready={slot: _stands(one) for slot, one in standing.items()},
            slots=slots,
            traffic=traffic,
            address=self._address() if route and standing else "",
        )

    def stop(self) -> None:
        """Delete the route and both Deployments; callers get no answer any more."""
        if self.cluster.get("HTTPRoute", self.name):
            self.cluster.delete("HTTPRoute", self.name)
        for slot in SLOTS:
            self.remove(slot)

    def _slot(self, slot: Slot) -> str:
        return f"{self.name}-{slot}"

    def _deployment(self, slot: Slot) -> Object | None:
        return self.cluster.get("Deployment", self._slot(slot))

    def _pods(self, slot: Slot) -> list[Object]:
        """Return the pods of a slot's present version."""
        standing = self._deployment(slot)
        if standing is None:
            return []
        return self.cluster.pods(
            **{INSTANCE: self.name, "slot": slot, VERSION: str(_version(standing))}
        )

    def _filled(self, slot: Slot, version: int) -> Object:
        cloud = self.cloud
        return cloud.fill(
            "slot.yaml",
            environment=self.environment,
            slot=slot,
            version=version,
            image=cloud.image,
            instances=cloud.instances,
            machine=cloud.machine.model_dump(),
        )

    def _routed(self, traffic: Traffic, slots: Slots) -> Object:
        shares = [(slots.champion, traffic.champion), (slots.challenger, traffic.challenger)]
        backends = [self._backend(slot, weight=share) for slot, share in shares if share]
        copies = [self._copies(slots.challenger, traffic.mirror)] if traffic.mirror else []
        both = len(backends) == 2
        return self.cloud.fill(
            "route.yaml",
            gateway=self.cloud.gateway,
            gateway_namespace=self.cloud.gateway_namespace or self.cloud.namespace,
            host=self.cloud.host,
            champion=slots.champion,
            shares=backends,
            copies=copies,
            first=[self._backend(slots.champion, weight=1)] if both else backends,
            outcomes=[self._copies(slots.challenger, 100)] if both else copies,
        )

    def _backend(self, slot: Slot, **more: int) -> Object:
        return {"group": "", "kind": "Service", "name": self._slot(slot), "port": 8080, **more}

    def _copies(self, slot: Slot, percent: int) -> Object:
        share = {"percent": percent} if percent < 100 else {}  # clusters before v1.3 know no share
        mirror = {"backendRef": self._backend(slot), **share}
        return {"type": "RequestMirror", "requestMirror": mirror}

    def _traffic(self, route: Object | None) -> tuple[Slots, Traffic]:
        """Return whose slot is whose, and who answers, as a route says."""
        if route is None:
            return Slots(), CHAMPION
        slots = Slots(champion=route["metadata"].get("annotations", {}).get(OWNER, "blue"))
        rule = route["spec"]["rules"][0]
        shares = {one["name"]: one["weight"] for one in rule["backendRefs"]}
        share = shares.get(self._slot(slots.challenger), 0)
        mirrors = [one["requestMirror"].get("percent", 100) for one in rule.get("filters", [])]
        return slots, Traffic(champion=100 - share, challenger=share, mirror=sum(mirrors))

    def _gets(self, slot: Slot) -> bool:
        """Tell whether a slot answers callers, or sees copies of their requests."""
        route = self.cluster.get("HTTPRoute", self.name)
        return route is not None and f'"{self._slot(slot)}"' in json.dumps(route["spec"]["rules"])

    def _ready(self, slot: Slot, version: int) -> None:
        """Wait for a slot's pods; empty it and raise :class:`DeployError` if they fail."""
        end = time.monotonic() + READY_SECONDS
        while True:
            standing = self._deployment(slot)
            if standing and _stands(standing):
                return
            why = self._failure(slot, standing)
            if not why and time.monotonic() <= end:
                time.sleep(self.poll)
                continue
            if not self._gets(slot):  # a champion that fails is not made worse
                self.cluster.delete("Deployment", self._slot(slot))
            raise DeployError(
                f"Version {version} is not ready in the {slot} slot: "
                f"{why or f'nothing was wrong in {READY_SECONDS:g} s'}"
            )

    def _failure(self, slot: Slot, standing: Object | None) -> str:
        """Return why a slot will never be ready, if it is known by now."""
        if standing is None:
            return "somebody has deleted it"
        for pod in self._pods(slot):
            for container in pod.get("status", {}).get("containerStatuses", []):
                waits = container.get("state", {}).get("waiting", {})
                if waits.get("reason") in HOPELESS:
                    return self._why(pod, container, waits)
        for condition in standing.get("status", {}).get("conditions", []):
            pair = condition["type"], condition["status"]
            if pair in (("ReplicaFailure", "True"), ("Progressing", "False")):
                return (
                    f"{condition.get('message', condition['type'])} (see cloud.machine and "
                    f"cloud.instances in environments/{self.environment}.yaml)"
                )
        return ""

    def _why(self, pod: Object, container: Object, waits: Object) -> str:
        name, crashed = pod["metadata"]["name"], container.get("restartCount", 0) > 0
        query = {"tailLines": "20", **({"previous": "true"} if crashed else {})}
        lines = self.cluster.log(name, **query)
        end = f" Its log ends:\n{chr(10).join(lines)}" if lines else ""
        return f"{name}: {waits['reason']}. {waits.get('message', '')}{end}"

    def _figures(self, pods: list[Object]) -> Iterator[tuple[str, dict[Any, float] | None]]:
        """Yield the counters of each pod; None of one that does not answer."""
        for pod in pods:
            name = pod["metadata"]["name"]
            try:
                status, content = self.cluster.ask(name, "/metrics")
                yield name, read(content.decode()) if status == 200 else None
            except CloudError:
                yield name, None

    def _call(self, path: str, body: Any | None) -> tuple[int, bytes]:
        """Send one request to the gateway, as callers do."""
        import urllib3

        headers = {"host": self.cloud.host, **self._headers()}
        method, more = ("GET", {}) if body is None else ("POST", {"json": body})
        try:
            answer = urllib3.request(
                method,
                f"{self._address()}{path}",
                headers=headers,
                timeout=self.settings.serving.timeout + 2,
                retries=False,
                **more,
            )
        except urllib3.exceptions.HTTPError as error:
            raise MlopsError(f"{self._address()}{path}: no answer ({error}).") from error
        return answer.status, answer.data

    def _address(self) -> str:
        return self.cloud.address.rstrip("/") or f"https://{self.cloud.host}"

    def _headers(self) -> dict[str, str]:
        """Return what the servers let in; the same Secret gives them MLOPS_API_KEYS."""
        if self.settings.serving.auth != "api-key":
            return {}
        from ...serve.auth import api_keys

        return {"x-api-key": api_keys(self.settings)[0]}


def open_target(environment: str, settings: Settings) -> KubernetesTarget:
    """Return an environment in a namespace."""
    return KubernetesTarget(environment, settings)


def _version(deployment: Object) -> int:
    return int(deployment["metadata"]["labels"][VERSION])


def _stands(deployment: Object) -> bool:
    """Tell whether all pods are of this version, and ready."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = ("replicas", "updatedReplicas", "readyReplicas")
    return seen and all(status.get(count, 0) == wanted for count in counts)


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _restarts(pods: list[Object]) -> Iterator[tuple[str, int]]:
    """Yield how often each pod's server was started again."""
    for pod in pods:
        statuses = pod.get("status", {}).get("containerStatuses", [])
        yield pod["metadata"]["name"], sum(one.get("restartCount", 0) for one in statuses)


def _faults(route: Object, gateway: str) -> str:
    """Return what the gateway has against a route as it is now; nothing if it goes by it."""
    for parent in route.get("status", {}).get("parents", []):
        if parent["parentRef"]["name"] != gateway:
            continue
        met = {
            one["type"]: one
            for one in parent.get("conditions", [])
            if one.get("observedGeneration", 0) >= route["metadata"]["generation"]
        }
        missing = [kind for kind in ("Accepted", "ResolvedRefs") if kind not in met]
        said = [
            f"{one['reason']}: {one['message']}"
            for one in met.values()
            if one["type"] in ("Accepted", "ResolvedRefs") and one["status"] != "True"
        ]
        if not missing and not said:
            return ""
        return "; ".join(said) or f"it says nothing of {' and '.join(missing)}"
    return "it has not seen it"


def _holds(live: Any, wanted: Any) -> bool:
    """Tell whether an object has all that is wanted; the cluster adds fields of its own."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            _holds(live.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(_holds(*pair) for pair in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)
