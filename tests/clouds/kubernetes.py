"""A fake of a Kubernetes cluster: its API server, its controllers and a gateway, on loopback.

Objects are held against Kubernetes' published schemas and the Gateway API's, strictly; callers
against the Role in deploy/base, and nothing else is allowed. Server-side apply keeps each manager's
fields apart. Containers are clouds.servers; a job's command is a process of this machine.
"""

import copy
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import kubernetes_validate
import npm
import yaml
from mlops.cloud import kubernetes as cloud
from mlops.settings import Serving, Settings
from moto.server import ThreadedMotoServer

from clouds import ROOT
from clouds.servers import Servers

DEPLOY = ROOT / "template/deploy"
RELEASE = "1.34"  # of Kubernetes, whose schemas are held against
NAME, NAMESPACE, HOST = "flight-delays-prod", "flight-delays-prod", "flight-delays.example.com"
GATEWAY, TOKEN, KEY, BUCKET = "public", "token-of-the-test", "key-of-the-test", "flight-delays-prod"
LAG = 3  # looks at something slow until it is done
Object = dict[str, Any]
Fields = dict[tuple[str, ...], Any]  # the leaves of an object


class RefusalError(Exception):
    """What the API server answers instead."""

    def __init__(self, status: int, reason: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason,
            "message": message,
            "code": status,
            **({"details": details} if details else {}),
        }


REFUSALS = {
    "error": (500, "InternalError", "etcdserver: request timed out"),
    "throttle": (429, "TooManyRequests", "the server is currently unable to handle the request"),
    "expired": (401, "Unauthorized", "Unauthorized"),
    "denied": (403, "Forbidden", "releaser cannot do this in the namespace"),
    "quota": (403, "Forbidden", "exceeded quota: compute, requested: pods=2, limited: pods=2"),
}


class Platform:
    """The cluster, with nothing in the namespace but what deploy/base holds."""

    provider = "kubernetes"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.api = _serve(self._api)
        self.gateway = _serve(self._call)
        self.storage = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.storage.start()
        (folder / "kubeconfig").write_text(yaml.safe_dump(_kubeconfig(_url(self.api))))
        self.variables = {
            "KUBECONFIG": str(folder / "kubeconfig"),
            "MLOPS_API_KEYS": KEY,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_SESSION_TOKEN": "test",
        }
        # A suite's project is a folder without deploy/, and waits for nothing.
        cloud.DEPLOY, cloud.BACKOFF = DEPLOY, 0.0
        self.jobs: dict[str, subprocess.Popen[bytes]] = {}
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        with self.lock:
            for name in list(self.jobs):
                self._kill(name)
            self.servers = Servers()
            self.calls: list[str] = []
            self.orphans: list[str] = []
            self.objects: dict[tuple[str, str], Object] = {}
            self.owned: dict[tuple[str, str, str], Fields] = {}
            self.failing: dict[str, list[str]] = {}
            self.lagging: defaultdict[tuple[str, str], int] = defaultdict(int)
            self.restarts: defaultdict[str, int] = defaultdict(int)
            self.mirrored: defaultdict[str, float] = defaultdict(float)
            self.bound, self.services = _standing()
        self._store(empty=True)

    def settings(self) -> Settings:
        """Return what leads here."""
        return Settings(
            target="kubernetes",
            serving=Serving(auth="api-key"),
            cloud={
                "context": "fake",
                "namespace": NAMESPACE,
                "image": "registry.example.com/flight-delays",
                "job_image": "registry.example.com/flight-delays-job:1",
                "host": HOST,
                "address": _url(self.gateway),
                "gateway": GATEWAY,
                "gateway_namespace": "gateways",
                "instances": 2,
                "spot_selector": {"example.com/spot": "true"},
                "bucket": BUCKET,
                "endpoint_url": self._storage(),
            },
        )

    def close(self) -> None:
        """End everything."""
        for name in list(self.jobs):
            self._kill(name)
        self.storage.stop()
        for server in (self.api, self.gateway):
            server.shutdown()
            server.server_close()

    def fail(self, call: str, times: int, kind: str) -> None:
        """Refuse the next calls of this name, or let what they ask for take a while."""
        self.failing[call] = [kind] * times

    def traffic(self) -> dict[str, int]:
        """Return what the gateway goes by."""
        with self.lock:
            route = self.objects.get(("HTTPRoute", NAME))
            if not route:
                return {}
            rule = route["spec"]["rules"][0]
            shares = {_slot(one["name"]): one["weight"] for one in rule["backendRefs"]}
            total = sum(shares.values())
            mirrors = [one["requestMirror"].get("percent", 100) for one in rule.get("filters", [])]
            return {
                **{slot: round(100 * share / total) for slot, share in shares.items()},
                "mirror": sum(mirrors),
            }

    def left(self) -> list[str]:
        """Return what there is beside deploy/base."""
        with self.lock:
            return [*(" ".join(key) for key in self.objects), *self.orphans]

    def send(self, number: int) -> None:
        """Let callers ask through the gateway."""
        headers = {"host": HOST, "x-api-key": KEY}
        for _ in range(number):
            self._call("POST", "/predict", headers, {"records": [self.servers.record()]})

    # The API server ----------------------------------------------------------

    def _api(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> Any:
        with self.lock:
            try:
                return self._answer(method, url, headers, body)
            except RefusalError as refusal:
                return refusal.status, refusal.body

    def _answer(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> Any:
        parts = urlsplit(url)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if headers.get("authorization") != f"Bearer {TOKEN}":
            raise RefusalError(401, "Unauthorized", "Unauthorized")
        group, kinds, name, more = _resource(parts.path)
        kind = KINDS[kinds]
        if f"/namespaces/{NAMESPACE}/" not in parts.path:
            raise RefusalError(403, "Forbidden", f"{kinds} is forbidden in another namespace")
        resource = f"{kinds}/{more.partition('/')[0]}".rstrip("/")
        verb = _verb(method, name, more)
        if (group, resource, verb) not in self.bound:
            raise RefusalError(
                403, "Forbidden", f"{resource} is forbidden: {verb} in API group {group}"
            )
        call = f"{ {'patch': 'apply'}.get(verb, verb) } {kind}{'/' * bool(more)}{more}"
        slow = self._fails(call.partition("/proxy")[0])
        if kind == "Pod":
            return self._pods(method, name, more, query, headers, body)
        if method == "PATCH":
            if (group, resource, "create") not in self.bound and (kind, name) not in self.objects:
                raise RefusalError(403, "Forbidden", f"{resource} is forbidden: create")
            self._apply(kind, name, query, headers, body, call, slow)
        if (kind, name) not in self.objects:
            raise RefusalError(
                404, "NotFound", f'{kinds} "{name}" not found', name=name, kind=kinds
            )
        if method == "DELETE":
            if body.get("propagationPolicy") != "Background":
                self.orphans.append(f"Pod of {name}")
            self._delete(kind, name, call)
            return 200, {"kind": "Status", "status": "Success"}
        return 200, self._shown(kind, name)

    def _fails(self, call: str) -> bool:
        """Raise what a test wills; tell whether what is asked takes a while."""
        kinds = self.failing.get(call)
        kind = kinds.pop() if kinds else ""
        if kind in REFUSALS:
            raise RefusalError(*REFUSALS[kind])
        return kind == "slow"

    def _apply(
        self,
        kind: str,
        name: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        wanted: Object,
        call: str,
        slow: bool,
    ) -> None:
        """Carry out a server-side apply: a manager's fields become those that it names."""
        if headers.get("content-type") != "application/apply-patch+yaml":
            raise RefusalError(
                415, "UnsupportedMediaType", f"the body is {headers['content-type']}"
            )
        manager = query.get("fieldManager")
        if not manager or wanted["metadata"]["name"] != name:
            raise RefusalError(
                400, "BadRequest", "fieldManager, and the name of the URL, are required"
            )
        before = self.objects.get((kind, name))
        given = _leaves({key: wanted[key] for key in wanted if key not in ("apiVersion", "kind")})
        others = {
            path: (owner, value)
            for (a, b, owner), fields in self.owned.items()
            if (a, b) == (kind, name) and owner != manager
            for path, value in fields.items()
        }
        clash = [path for path, value in given.items() if others.get(path, ("", value))[1] != value]
        if clash and query.get("force") != "true":
            owners = sorted({others[path][0] for path in clash})
            raise RefusalError(409, "Conflict", f"conflicts with {owners}: {clash}")
        for path in clash:
            self.owned[kind, name, others[path][0]].pop(path)
        mine = self.owned.get((kind, name, manager), {})
        merged = {} if before is None else _leaves({k: before[k] for k in ("metadata", "spec")})
        for path in mine.keys() - given.keys() - (others.keys() - set(clash)):
            merged.pop(path, None)
        made = _object(merged | given)
        made = {"apiVersion": wanted["apiVersion"], "kind": kind, **made}
        made["metadata"].setdefault("namespace", NAMESPACE)
        if made["metadata"]["namespace"] != NAMESPACE:
            raise RefusalError(
                400, "BadRequest", "the namespace of the object is not that of the URL"
            )
        _valid(made)
        _lasting(before, made)
        self.owned[kind, name, manager] = given
        old = None if before is None else {k: before[k] for k in ("metadata", "spec")}
        if old == {k: made[k] for k in ("metadata", "spec")}:
            return
        generation = before["generation"] if before else 0
        changed = before is None or before["spec"] != made["spec"]
        started = before["started"] if before else time.monotonic()
        self.objects[kind, name] = {
            **made,
            "generation": generation + changed,
            "started": started,
        }
        self.lagging[kind, name] = LAG if slow else 0
        if kind == "Job":
            self._run(name, made)
        self.calls.append(call)

    def _delete(self, kind: str, name: str, call: str) -> None:
        del self.objects[kind, name]
        for key in [key for key in self.owned if key[:2] == (kind, name)]:
            del self.owned[key]
        if kind == "Job":
            self._kill(name)
        self.calls.append(call)

    def _shown(self, kind: str, name: str) -> Object:
        """Return an object with what the controllers make of it."""
        held = self.objects[kind, name]
        late = self.lagging[kind, name] > 0
        self.lagging[kind, name] -= late
        shown = copy.deepcopy(
            {key: held[key] for key in ("apiVersion", "kind", "metadata", "spec")}
        )
        shown["metadata"]["generation"] = held["generation"]
        status = {"Deployment": self._deployed, "HTTPRoute": self._routed, "Job": self._worked}
        shown["status"] = status[kind](name, held, held["generation"] - late, late)
        return shown

    def _deployed(self, name: str, held: Object, generation: int, late: bool) -> Object:
        wanted = held["spec"]["replicas"]
        ready = wanted if not late and self.servers.ready(_version(held)) else 0
        counts = {"replicas": wanted, "updatedReplicas": wanted, "readyReplicas": ready}
        return {"observedGeneration": generation, **counts}

    def _routed(self, name: str, held: Object, generation: int, late: bool) -> Object:
        parent = held["spec"]["parentRefs"][0]
        if (parent["name"], parent["namespace"]) != (GATEWAY, "gateways"):
            return {"parents": []}
        wanted = set(re.findall(rf'"name": "({NAME}-[^"]*)"', json.dumps(held["spec"]["rules"])))
        missing = sorted(wanted - self.services)
        conditions = [
            _condition("Accepted", True, "Accepted", generation),
            _condition(
                "ResolvedRefs",
                not missing,
                "BackendNotFound" if missing else "ResolvedRefs",
                generation,
                f"no Service {missing}" if missing else "",
            ),
        ]
        return {
            "parents": [
                {
                    "parentRef": parent,
                    "controllerName": "example.com/gateway",
                    "conditions": conditions,
                }
            ]
        }

    def _pods(
        self,
        method: str,
        name: str,
        more: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Any,
    ) -> Any:
        pods = {pod["metadata"]["name"]: pod for pod in self._running()}
        if not name:
            labels = dict(one.split("=") for one in query["labelSelector"].split(","))
            items = [p for p in pods.values() if labels.items() <= p["metadata"]["labels"].items()]
            return 200, {"kind": "PodList", "apiVersion": "v1", "items": items}
        name, _, port = name.partition(":")
        if name not in pods:
            raise RefusalError(404, "NotFound", f'pods "{name}" not found', name=name, kind="pods")
        labels = pods[name]["metadata"]["labels"]
        if more == "log":
            if "slot" not in labels:
                return 200, (self.folder / f"{name}.log").read_text()
            return 200, "\n".join(self.servers.lines(int(labels[VERSION])))
        path = more.removeprefix("proxy")
        version = int(labels[VERSION])
        if port != "8080" or not self.servers.ready(version):
            raise RefusalError(503, "ServiceUnavailable", "error trying to reach service")
        if path == "/metrics":  # one server stands for all pods: the others have had no requests
            return 200, self.servers.text(version) if name.endswith("-0") else ""
        return self._served(version, method, path, headers, body)

    def _running(self) -> Iterator[Object]:
        """Yield the pods that the controllers have made."""
        for (kind, name), held in list(self.objects.items()):
            if kind == "Deployment":
                for index in range(held["spec"]["replicas"]):
                    yield self._server(f"{name}-7d9f-{index}", held, index)
            if kind == "Job" and name in self.jobs:
                template = held["spec"]["template"]["metadata"]["labels"]
                labels = {**template, "batch.kubernetes.io/job-name": name}
                yield {"metadata": {"name": f"{name}-x7k2p", "labels": labels}, "status": {}}

    def _server(self, name: str, held: Object, index: int) -> Object:
        up = self.servers.ready(_version(held)) and not self.lagging["Deployment", held_name(held)]
        restarts = self.restarts[name] + (0 if self.servers.ready(_version(held)) else 2)
        waits = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}
        crashed = not self.servers.ready(_version(held))
        return {
            "metadata": {"name": name, "labels": held["spec"]["template"]["metadata"]["labels"]},
            "status": {
                "conditions": [{"type": "Ready", "status": str(up)}],
                "containerStatuses": [
                    {
                        "name": "server",
                        "ready": up,
                        "restartCount": restarts,
                        "state": waits if crashed else {"running": {}},
                    }
                ],
            },
        }

    # The gateway -------------------------------------------------------------

    def _call(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> Any:
        """Answer a caller as the HTTPRoute says."""
        with self.lock:
            route = self.objects.get(("HTTPRoute", NAME))
            path = urlsplit(url).path
            if not route or headers.get("host") not in route["spec"]["hostnames"]:
                return 404, {"detail": "no route"}
            rule = next((r for r in route["spec"]["rules"] if _matches(r, method, path)), None)
            if rule is None:
                return 404, {"detail": "no route"}
            backends = {_slot(one["name"]): one["weight"] for one in rule["backendRefs"]}
            for one in rule.get("filters", []):
                mirror = one["requestMirror"]
                slot = _slot(mirror["backendRef"]["name"])
                self.mirrored[slot] += mirror.get("percent", 100) / 100
                if self.mirrored[slot] >= 1:
                    self.mirrored[slot] -= 1
                    self._reach(slot, method, path, headers, body)
            return self._reach(self.servers.pick(backends), method, path, headers, body)

    def _reach(
        self, slot: str, method: str, path: str, headers: Mapping[str, str], body: Any
    ) -> Any:
        held = self.objects.get(("Deployment", f"{NAME}-{slot}"))
        if held is None or not self.servers.ready(_version(held)):
            return 503, {"detail": "no healthy upstream"}
        return self._served(_version(held), method, path, headers, body)

    def _served(
        self, version: int, method: str, path: str, headers: Mapping[str, str], body: Any
    ) -> Any:
        """Answer as a pod's server."""
        if method == "POST" and headers.get("x-api-key") != KEY:
            return 401, {"detail": "Give a valid key in the header x-api-key."}
        sent = body if path == "/predict" else {"path": path, "body": body}
        return self.servers.answer(version, sent)

    # Jobs --------------------------------------------------------------------

    def _run(self, name: str, made: Object) -> None:
        """Start a job's command, or end it if it is suspended."""
        if made["spec"].get("suspend"):
            self._kill(name)
        elif name not in self.jobs:
            container = made["spec"]["template"]["spec"]["containers"][0]
            variables = {one["name"]: one["value"] for one in container["env"]}
            python = {"python": sys.executable}
            command = [python.get(word, word) for word in container["command"]]
            with (self.folder / f"{name}-x7k2p.log").open("wb") as log:
                self.jobs[name] = subprocess.Popen(
                    command,
                    env={**os.environ, **variables},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def _worked(self, name: str, held: Object, generation: int, late: bool) -> Object:
        process = self.jobs.get(name)
        if late or process is None:
            return {}
        limit = held["started"] + held["spec"]["activeDeadlineSeconds"]
        if process.poll() is None and time.monotonic() > limit:
            self._kill(name, keep=True)
            message = "Job was active longer than specified deadline"
            held["over"] = ("Failed", "DeadlineExceeded", message)
        if process.poll() is None:
            return {"active": 1, "ready": 1}
        failed = ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        done = ("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        kind, reason, message = held.get("over", failed if process.returncode else done)
        return {"conditions": [_condition(kind, True, reason, generation, message)]}

    def _kill(self, name: str, keep: bool = False) -> None:
        process = self.jobs[name] if keep else self.jobs.pop(name, None)
        if process and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    # The store ---------------------------------------------------------------

    def _storage(self) -> str:
        return "http://{}:{}".format(*self.storage.get_host_and_port())

    def _store(self, empty: bool = False) -> None:
        """Make the bucket."""
        import boto3
        import requests

        requests.post(f"{self._storage()}/moto-api/reset", timeout=10)
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        client = boto3.client("s3", endpoint_url=self._storage(), region_name="us-east-1", **keys)
        client.create_bucket(Bucket=BUCKET)


VERSION = "app.kubernetes.io/version"
KINDS = {"deployments": "Deployment", "httproutes": "HTTPRoute", "jobs": "Job", "pods": "Pod"}


def _serve(answer: Any) -> ThreadingHTTPServer:
    """Return a server on a free port, which has each request answered."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body at once, or the client's acknowledgement is waited for

        def do(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = json.loads(sent) if sent else None
            status, content = answer(self.command, self.path, headers, body)
            text = content if isinstance(content, str) else json.dumps(content)
            self.send_response(status)
            self.send_header("content-length", str(len(text.encode())))
            if status == 429:
                self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = do_DELETE = do

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def _url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def _kubeconfig(url: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "other",
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "releaser", "user": {"token": TOKEN}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "releaser"}}],
    }


def _standing() -> tuple[set[tuple[str, str, str]], set[str]]:
    """Return what the Role of deploy/base allows, and the Services that stand there."""
    allowed, services = set(), set()
    for file in DEPLOY.glob("base/*.yaml"):
        for one in yaml.safe_load_all(file.read_text()):
            kind = one.get("kind")
            if kind == "Service":
                services.add(f"{NAME}-{one['metadata']['name']}")
            if kind == "Role":
                allowed |= {
                    (group, resource, verb)
                    for rule in one["rules"]
                    for group in rule["apiGroups"]
                    for resource in rule["resources"]
                    for verb in rule["verbs"]
                }
    return allowed, services


def _resource(path: str) -> tuple[str, str, str, str]:
    """Return the API group, plural, name and rest of a path."""
    form = r"/(?:api/v1|apis/([^/]+)/v1)/namespaces/[^/]+/([a-z]+)(?:/([^/]+))?(?:/(.*))?"
    found = re.fullmatch(form, path)
    if found is None or found[2] not in KINDS:
        raise RefusalError(404, "NotFound", "the server could not find the requested resource")
    return found[1] or "", found[2], found[3] or "", found[4] or ""


def _verb(method: str, name: str, more: str) -> str:
    if more:
        return {"GET": "get", "POST": "create"}[method]
    return {"GET": "get" if name else "list", "PATCH": "patch", "DELETE": "delete"}[method]


def _leaves(part: Any, path: tuple[str, ...] = ()) -> Fields:
    """Return the fields that are not objects; a list is one field."""
    if not isinstance(part, dict) or not part:
        return {path: part}
    found: Fields = {}
    for key, value in part.items():
        found |= _leaves(value, (*path, key))
    return found


def _object(fields: Fields) -> Object:
    made: Object = {}
    for path, value in fields.items():
        part = made
        for key in path[:-1]:
            part = part.setdefault(key, {})
        part[path[-1]] = copy.deepcopy(value)
    return made


def _valid(made: Object) -> None:
    """Raise what the API server has against an object."""
    if fault := faults(json.dumps(made)):
        raise RefusalError(422, "Invalid", fault)


@cache
def faults(text: str) -> str:
    """Return what the published schemas have against an object, given as JSON."""
    made = json.loads(text)
    try:
        if made["kind"] == "HTTPRoute":
            jsonschema.validate(made, route_schema())
        else:
            kubernetes_validate.validate(made, RELEASE, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        return f"{list(error.path)}: {error.message}"
    return ""


def _lasting(before: Object | None, made: Object) -> None:
    """Refuse a change of what can't be changed."""
    fixed = {"Deployment": "selector", "Job": "template"}.get(made["kind"])
    if before and fixed and before["spec"][fixed] != made["spec"][fixed]:
        raise RefusalError(422, "Invalid", f"spec.{fixed}: field is immutable")


@cache
def route_schema() -> Object:
    """Return the schema of an HTTPRoute, which allows no field that it does not name."""
    package = npm.installed() / "node_modules/@kubernetes-models/gateway-api"
    text = (package / "gateway.networking.k8s.io/v1/HTTPRoute.js").read_text()
    schema: Object = json.loads(text.split("const schema = ")[1].split(";\n")[0])
    schema["properties"]["metadata"] = {"type": "object"}
    rule = schema["properties"]["spec"]["properties"]["rules"]["items"]["properties"]
    for filters in (rule["filters"], rule["backendRefs"]["items"]["properties"]["filters"]):
        # Later than the package: standard since v1.3.
        mirror = filters["items"]["properties"]["requestMirror"]["properties"]
        mirror["percent"] = {"type": "integer", "minimum": 0, "maximum": 100}
    _strict(schema)
    return schema


def _strict(schema: Any) -> None:
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            _strict(value)
    elif isinstance(schema, list):
        for value in schema:
            _strict(value)


def _matches(rule: Object, method: str, path: str) -> bool:
    return any(
        one.get("method", method) == method and one["path"] == {"type": "Exact", "value": path}
        for one in rule["matches"]
    )


def _condition(
    kind: str, met: bool, reason: str, generation: int, message: str = ""
) -> dict[str, Any]:
    return {
        "type": kind,
        "status": str(met),
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
    }


def _version(deployment: Object) -> int:
    """Return the version by the image, which is what runs."""
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return int(image.rpartition(":")[2])


def held_name(held: Object) -> str:
    """Return an object's name."""
    return str(held["metadata"]["name"])


def _slot(service: str) -> str:
    return service.removeprefix(f"{NAME}-")
