"""A fake of Azure on loopback: the routes that the real clients call, under their real hosts.

Blobs are Azurite's. All else is answered here, as the published description of Azure ML has it
(azure_schema); what that does not say is written from Azure's documentation. Requests to an
endpoint go to ``servers``.
"""

import http.client
import json
import os
import re
import secrets
import shlex
import shutil
import ssl
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any, Literal

import npm
from mlops.settings import Settings

from clouds.azure_schema import faults
from clouds.azure_wire import Reply, Request, Wire, token
from clouds.servers import Servers

SUBSCRIPTION = "00000000-0000-0000-0000-00000000c10d"
GROUP, WORKSPACE, REGION = "example-group", "example-workspace", "westeurope"
ACCOUNT, OWN = "examplemlops", "exampleworkspace"  # ours; the workspace's own
BLOBS = ".blob.core.windows.net"
ARM = "management.azure.com"
HISTORY = f"{REGION}.api.azureml.ms"
CONTAINERS = [(ACCOUNT, "mlops"), (OWN, "workspaceblobstore"), (OWN, "workspaceartifactstore")]
METRICS = f"{REGION}.metrics.monitor.azure.com"
SCORING = f"{REGION}.inference.ml.azure.com"
SCOPE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
INSIDE = f"{SCOPE}/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
SOON = {"retry-after-ms": "1"}  # what a client waits until it asks again
SLOW = 3  # looks at which a slow operation is still under way
KINDS = {  # collections, and what the description calls that which is put there
    "onlineEndpoints": "OnlineEndpoint",
    "onlineDeployments": "OnlineDeployment",
    "environments": "EnvironmentVersion",
    "models": "ModelVersion",
    "jobs": "JobBase",
}
Kind = Literal["error", "throttle", "expired", "denied", "quota", "slow"]
REFUSALS: dict[str, tuple[int, str, str]] = {
    "error": (500, "InternalServerError", "An internal server error occurred."),
    "throttle": (429, "TooManyRequests", "The request is being throttled."),
    "expired": (401, "ExpiredAuthenticationToken", "The access token has expired."),
    "denied": (
        403,
        "AuthorizationFailed",
        "The client does not have authorization to perform this action over the scope.",
    ),
    "quota": (400, "OutOfQuota", "Not enough quota available for Standard_DS3_v2."),
}


class Platform:
    """A subscription with a workspace and two storage accounts."""

    provider = "azure"

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.RLock()
        hosts = [ARM, HISTORY, METRICS, f"*{BLOBS}", f"*.{SCORING}"]
        self.wire = Wire(folder, hosts, self.answer)
        self.variables = self.wire.variables()
        self.blobs = Azurite(self.wire.certificate, self.wire.key)
        self.reset()

    def reset(self) -> None:
        """Empty everything."""
        for job in getattr(self, "processes", {}).values():
            job.kill()
        with self.lock:
            self.servers, self.calls = Servers(), list[str]()
            self.failing: list[tuple[str, str]] = []
            self.resources: dict[str, dict[str, Any]] = {}
            self.operations: dict[str, Operation] = {}
            self.processes: dict[str, subprocess.Popen[bytes]] = {}
            self.ends: dict[str, float] = {}
            self.logs: dict[str, list[str]] = {}
            self.counted: Counter[tuple[int, str, int, int]] = Counter()
        self.blobs.reset()

    def settings(self) -> Settings:
        cloud = {
            "subscription": SUBSCRIPTION,
            "resource_group": GROUP,
            "workspace": WORKSPACE,
            "location": REGION,
            "container": f"https://{ACCOUNT}{BLOBS}/mlops",
            "image": "example.azurecr.io/flight-delays",
            "job_image": "example.azurecr.io/flight-delays-job:1",
        }
        return Settings(target="azure", cloud=cloud)

    def close(self) -> None:
        self.reset()
        self.blobs.close()
        self.wire.close()

    def send(self, number: int) -> None:
        """Send requests through each endpoint, and let the servers print their counts."""
        for name in [one for one in self.resources if one.startswith("onlineEndpoints/")]:
            if name.count("/") == 1:
                for _ in range(number):
                    self._score(name, None, {"records": [self.servers.record()]})
        for name, one in self._deployments().items():
            self.logs.setdefault(name, []).extend(self.servers.lines(_version(one)))

    def fail(self, call: str, times: int, kind: Kind) -> None:
        """Let the next calls of this name fail."""
        with self.lock:
            self.failing = [one for one in self.failing if one[0] != call] + [(call, kind)] * times

    def traffic(self) -> dict[str, int]:
        """Return what the one endpoint there is routes."""
        for name, one in self.resources.items():
            if name.count("/") == 1 and name.startswith("onlineEndpoints/"):
                split = one["properties"]
                mirror = sum((split.get("mirrorTraffic") or {}).values())
                return {**(split.get("traffic") or {}), "mirror": mirror}
        return {}

    def left(self) -> list[str]:
        """Return what costs money: endpoints, deployments, jobs that run."""
        endpoints = [
            re.sub("/deployments/", ": ", name)
            for name in self.resources
            if name.startswith("onlineEndpoints/")
        ]
        return endpoints + [name for name, one in self.processes.items() if one.poll() is None]

    # What is answered ---------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        """Answer for the host that was asked."""
        if request.host.endswith(BLOBS):
            return self._blob(request)
        if request.host.endswith(SCORING):
            with self.lock:
                slot = request.headers.get("azureml-model-deployment")
                name = f"onlineEndpoints/{request.host.partition('.')[0]}"
                return self._score(name, slot, json.loads(request.body))
        with self.lock:
            if request.host == METRICS:
                return self._failed("metrics.POST") or self._metrics(request)
            if request.host == HISTORY:
                return self._history(request)
            return self._arm(request)

    def _arm(self, request: Request) -> Reply:
        """Answer for the resource manager."""
        path = request.path.rstrip("/")
        if path.startswith("/operations/"):
            return self._operation(path.rpartition("/")[2])
        if refused := _elsewhere(path):
            return refused
        name = path[len(INSIDE) :].strip("/")
        if not name:
            return Reply(200, _workspace())
        call = _call(name, request.method)
        slow = (call, "slow") in self.failing
        if slow:
            self.failing.remove((call, "slow"))
        elif refused := self._failed(call):
            return refused
        for operation in list(self.operations.values()):
            operation.look()
        if request.method == "GET":
            return self._get(name, request.query)
        if request.method == "PUT":
            return self._put(name, json.loads(request.body), call, slow)
        if request.method == "DELETE":
            return self._delete(name, call, slow)
        return self._post(name, json.loads(request.body or b"{}"), call, slow)

    def _failed(self, call: str) -> Reply | None:
        """Return the refusal that a test wills, if one is due."""
        kind = next((kind for name, kind in self.failing if name == call), None)
        if kind is None or (kind == "quota" and call == "onlineDeployments.PUT"):
            return None  # a deployment is accepted first
        self.failing.remove((call, kind))
        return _refusal(*REFUSALS[kind])

    def _get(self, name: str, query: dict[str, str]) -> Reply:
        """Return a resource, or all of a collection."""
        if name.startswith("datastores"):
            wanted = name.partition("/")[2]
            stores = [_datastore("workspaceblobstore"), _datastore("workspaceartifactstore")]
            if not wanted:
                return Reply(200, {"value": stores[:1] if "isDefault" in query else stores})
            found = [one for one in stores if one["name"] == wanted]
            return Reply(200, found[0]) if found else _missing(name)
        if name in self.resources:
            if name.startswith("jobs/"):
                self._look_after(name)
            return Reply(200, self.resources[name])
        kind, _, rest = name.partition("/")
        if kind in ("models", "environments") and rest and "/" not in rest:
            versions = [int(one.split("/")[-1]) for one in self.resources if f"{name}/" in one]
            if not versions:
                return _missing(name)
            properties = {
                "latestVersion": str(max(versions)),
                "nextVersion": str(max(versions) + 1),
            }
            return Reply(200, {"id": f"{INSIDE}/{name}", "name": rest, "properties": properties})
        parent = name.rpartition("/")[0]
        if name.endswith("/deployments") and parent not in self.resources:
            return _missing(parent)
        depth = name.count("/") + 1
        inside = [
            one
            for key, one in self.resources.items()
            if key.startswith(f"{name}/") and key.count("/") == depth
        ]
        collection = name.rpartition("/")[2]
        if collection not in ("deployments", "versions", "onlineEndpoints", "jobs"):
            return _missing(name)
        return Reply(200, {"value": inside})

    def _put(self, name: str, body: dict[str, Any], call: str, slow: bool) -> Reply:
        """Create a resource or change it."""
        wrong = faults(KINDS[call.partition(".")[0]], body) or self._wrong(name, body)
        if wrong:
            return _refusal(400, "BadRequest", f"{name}: {'; '.join(wrong)}")
        before = self.resources.get(name)
        after = {**body, "id": f"{INSIDE}/{name}", "name": _last(name), "type": call}
        now = datetime.now(UTC).isoformat()
        made = before["systemData"] if before else {"createdAt": now, "createdBy": "loopback"}
        after["systemData"] = {**made, "lastModifiedAt": now, "lastModifiedBy": "loopback"}
        if name.startswith("models/"):
            after["properties"] = {"flavors": {}, "properties": {}, **body["properties"]}
        self.calls.append(call)
        if name.startswith("jobs/"):
            return self._start_job(name, after)
        if not name.startswith("onlineEndpoints/"):
            self.resources[name] = after
            return Reply(201, after)
        given = {key: value for key, value in body["properties"].items() if value is not None}
        after["properties"] = {**given, "provisioningState": "Updating"}
        if "/deployments/" in name:
            after["properties"].setdefault("scaleSettings", {"scaleType": "Default"})
        else:
            uri = f"https://{_last(name)}.{SCORING}/invocations"
            after["properties"] |= {"scoringUri": uri, "swaggerUri": uri}
        shown = {**after, "properties": {**(before or after)["properties"]}}
        shown["properties"]["provisioningState"] = "Updating" if before else "Creating"
        self.resources[name] = shown
        return self._begin(201, lambda: self._stands(name, after), slow, shown)

    def _wrong(self, name: str, body: dict[str, Any]) -> list[str]:
        """Return what the description does not say, and the service refuses."""
        properties = body["properties"]
        if name.startswith("models/"):
            before = self.resources.get(name, body)["properties"]["modelUri"]
            found = [] if before == properties["modelUri"] else ["Asset path cannot be changed"]
            for kind in ("tags", "properties"):  # documented for runs, presumed for models
                held = properties.get(kind) or {}
                fit = [len(key) <= 100 and len(value) <= 1000 for key, value in held.items()]
                if len(fit) > 50 or not all(fit):
                    found.append(f"{kind}: at most 50, of 100 and 1000 characters")
            return found
        if not name.startswith("onlineEndpoints/") or "/deployments/" in name:
            return []
        held = {_last(one) for one in self.resources if one.startswith(f"{name}/deployments/")}
        live, mirror = properties.get("traffic") or {}, properties.get("mirrorTraffic") or {}
        found = [f"no deployment {one}" for one in {*live, *mirror} - held]
        if not re.fullmatch("[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]", _last(name)):
            found.append("a name has 3 to 32 characters: letters, digits, hyphens")
        if sum(live.values()) not in (0, 100):
            found.append(f"traffic must add up to 0 or 100: {live}")
        if len(mirror) > 1 or any(not 0 < one <= 50 for one in mirror.values()):
            found.append(f"mirror traffic goes to one deployment, 50 % at most: {mirror}")
        if set(live) & set(mirror):
            found.append("a deployment gets live or mirrored traffic")
        return found

    def _stands(self, name: str, after: dict[str, Any]) -> dict[str, str] | None:
        """Let what was put stand; return why it does not."""
        properties = after["properties"]
        properties["provisioningState"] = "Succeeded"
        self.resources[name] = after
        if "/deployments/" not in name:
            return None
        why = None
        self.servers.restart(_version(after))
        if ("onlineDeployments.PUT", "quota") in self.failing:
            why = {"code": REFUSALS["quota"][1], "message": REFUSALS["quota"][2]}
        elif not self.servers.ready(_version(after)):
            why = {"code": "ResourceNotReady", "message": "User container has crashed."}
        self.logs[name] = self.servers.lines(_version(after))
        if why:
            properties["provisioningState"] = "Failed"
        return why

    def _delete(self, name: str, call: str, slow: bool) -> Reply:
        if name not in self.resources:
            return Reply(204)
        if "/deployments/" in name:
            split = self.resources[name.partition("/deployments/")[0]]["properties"]
            for kind in ("traffic", "mirrorTraffic"):
                if (split.get(kind) or {}).get(_last(name)):
                    return _refusal(400, "BadRequest", f"{_last(name)} still gets traffic")
        self.calls.append(call)
        self.resources[name]["properties"]["provisioningState"] = "Deleting"

        def gone() -> None:
            for one in [one for one in self.resources if one == name or f"{name}/" in one]:
                del self.resources[one]

        return self._begin(202, gone, slow)

    def _post(self, name: str, body: dict[str, Any], call: str, slow: bool) -> Reply:
        base, _, what = name.rpartition("/")
        if what == "getLogs":
            if wrong := faults("DeploymentLogsRequest", body):
                return _refusal(400, "BadRequest", "; ".join(wrong))
            if base not in self.resources:
                return _missing(base)
            head = ["Instance status:", "UserContainerStart: Succeeded", "", "Container logs:"]
            lines = self.logs.get(base, [])[-body["tail"] :]
            return Reply(200, {"content": "\n".join(head + lines)})
        if what == "cancel":
            self.calls.append(call)
            self.processes[base].kill()
            self.processes[base].wait()
            self.resources[base]["properties"]["status"] = "Canceled"
            return self._begin(202, lambda: None, slow)
        if what == "listSecrets":
            return Reply(200, {"secretsType": "None"})
        return _missing(name)

    # Operations ---------------------------------------------------------------

    def _begin(
        self, status: int, finish: Callable[[], Any], slow: bool, body: dict[str, Any] | None = None
    ) -> Reply:
        """Answer that an operation is under way."""
        number = uuid.uuid4().hex
        shown = json.loads(json.dumps(body)) if body else b""
        self.operations[number] = Operation(finish, SLOW if slow else 0)
        url = f"https://{ARM}/operations/{number}?api-version=2023-04-01-preview"
        return Reply(status, shown, {"Azure-AsyncOperation": url, **SOON})

    def _operation(self, number: str) -> Reply:
        operation = self.operations[number]
        operation.look()
        told: dict[str, Any] = {"status": operation.status}
        if operation.error:
            told["error"] = operation.error
        return Reply(200, told, SOON)

    # Requests and what is known of them ---------------------------------------

    def _deployments(self) -> dict[str, dict[str, Any]]:
        return {name: one for name, one in self.resources.items() if "/deployments/" in name}

    def _score(self, name: str, slot: str | None, body: dict[str, Any]) -> Reply:
        """Route a request as the traffic says; what a server refuses is wrapped."""
        with self.lock:
            if name not in self.resources:
                return _refusal(404, "NotFound", "no such endpoint")
            split = self.resources[name]["properties"]
            live = {one: share for one, share in (split.get("traffic") or {}).items() if share}
            mirror = split.get("mirrorTraffic") or {}
            if slot is None and not live:
                return _refusal(404, "NotFound", "no deployment gets traffic")
            chosen = slot or self.servers.pick(live)
            if f"{name}/deployments/{chosen}" not in self.resources:
                return _refusal(404, "NotFound", f"no deployment {chosen}")
            if slot is None:
                for other, share in mirror.items():
                    if self.servers.pick({other: share, "": 100 - share}) == other:
                        self._ask(name, other, body)
            status, answer = self._ask(name, chosen, body)
            headers = {"azureml-model-deployment": chosen}
            if status == 200:
                return Reply(200, answer, headers)
            headers["ms-azureml-model-error-statuscode"] = str(status)
            return Reply(202 if status == 202 else 424, answer, headers)

    def _ask(self, name: str, slot: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        one = self.resources[f"{name}/deployments/{slot}"]
        status, answer = self.servers.answer(_version(one), body)
        if "path" not in body:
            outer = status if status < 300 else 424
            self.counted[int(time.time() // 60) * 60, slot, outer, status] += 1
        return status, answer

    def _metrics(self, request: Request) -> Reply:
        """Answer as Azure Monitor: a series for each deployment and status, a value a minute."""
        query = request.query
        slots = re.findall(r"deployment eq '(\w+)'", query["filter"])
        if query["aggregation"] != "Average" or query["interval"] != "PT1M":
            return _refusal(400, "BadRequest", "RequestsPerMinute is an average of minutes")
        start, end = (
            datetime.fromisoformat(query[one]).timestamp() for one in ("starttime", "endtime")
        )
        series: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
        for (minute, slot, outer, status), count in self.counted.items():
            if slot in slots and start <= minute < end:
                stamp = datetime.fromtimestamp(minute, UTC).isoformat().replace("+00:00", "Z")
                value = {"timeStamp": stamp, "average": float(count)}
                series.setdefault((slot, outer, status), []).append(value)
        names = ("deployment", "statuscode", "modelstatuscode")
        told = [
            {
                "metadatavalues": [
                    {"name": {"value": name, "localizedValue": name}, "value": str(value)}
                    for name, value in zip(names, key, strict=True)
                ],
                "data": data,
            }
            for key, data in series.items()
        ]
        metric = {
            "id": "RequestsPerMinute",
            "type": "Microsoft.Insights/metrics",
            "name": {"value": "RequestsPerMinute", "localizedValue": "Requests Per Minute"},
            "unit": "Count",
            "timeseries": told,
        }
        result = {"starttime": query["starttime"], "endtime": query["endtime"], "interval": "PT1M"}
        resource = json.loads(request.body)["resourceids"][0]
        return Reply(200, {"values": [{**result, "resourceid": resource, "value": [metric]}]})

    # Jobs ---------------------------------------------------------------------

    def _start_job(self, name: str, job: dict[str, Any]) -> Reply:
        """Run the job's command here, as its container would."""
        properties = job["properties"]
        properties["status"] = "Running"
        uri = f"azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.{_last(name)}"
        properties["outputs"] = {"default": {"jobOutputType": "uri_folder", "uri": uri}}
        properties["services"] = {"Studio": {"jobServiceType": "Studio", "endpoint": "https://x"}}
        folder = self.folder / "jobs" / _last(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        variables = {**os.environ, **(properties.get("environmentVariables") or {})}
        with (folder / "log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                shlex.split(properties["command"]),
                cwd=folder,
                env=variables,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        limit = re.fullmatch(
            r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", properties["limits"]["timeout"]
        )
        assert limit, properties["limits"]
        hours, minutes, seconds = (int(part or 0) for part in limit.groups())
        self.ends[name] = time.monotonic() + hours * 3600 + minutes * 60 + seconds
        self.resources[name] = job
        return Reply(201, job)

    def _look_after(self, name: str) -> None:
        """Note a job's end, or bring it about when its time is over."""
        properties = self.resources[name]["properties"]
        if properties["status"] == "Running" and time.monotonic() > self.ends[name]:
            self.processes[name].kill()
            properties["status"] = "Canceled"
        code = self.processes[name].poll()
        if code is not None and properties["status"] == "Running":
            properties["status"] = "Failed" if code else "Completed"

    def _history(self, request: Request) -> Reply:
        """Answer for the history of runs: where it is, and how one ended."""
        if request.path == "/discovery":
            return Reply(200, {"api": f"https://{HISTORY}", "history": f"https://{HISTORY}"})
        name = f"jobs/{request.path.split('/')[-2]}"
        self._look_after(name)
        status = self.resources[name]["properties"]["status"]
        told: dict[str, Any] = {"runId": _last(name), "status": status, "logFiles": {}}
        if status == "Failed":
            code = self.processes[name].returncode
            told["error"] = {"error": {"code": "UserError", "message": f"exit code {code}"}}
        return Reply(200, told)

    # Blobs --------------------------------------------------------------------

    def _blob(self, request: Request) -> Reply:
        """Hand over to Azurite, with a job's log as it is now; ``calls`` has none of these."""
        call = f"{request.method.capitalize()}Blob"
        with self.lock:
            refused = self._failed(call)
        if refused:
            told = refused.body["error"]
            content = (
                f"<Error><Code>{told['code']}</Code><Message>{told['message']}</Message></Error>"
            )
            headers = {"x-ms-error-code": told["code"], "Content-Type": "application/xml", **SOON}
            return Reply(refused.status, content.encode(), headers)
        if request.path.endswith("/user_logs/std_log.txt"):
            number = re.search(r"dcid\.([^/]+)", request.path)
            assert number
            printed = (self.folder / "jobs" / number[1] / "log").read_bytes()
            headers = {**request.headers, "x-ms-blob-type": "BlockBlob"}
            headers.pop("x-ms-range", None)
            self.blobs.ask(request._replace(method="PUT", headers=headers, body=printed))
        return self.blobs.ask(request)


class Operation:
    """Something that takes its time: ``finish`` is its effect, and returns why it failed."""

    def __init__(self, finish: Callable[[], Any], looks: int) -> None:
        self.finish, self.looks = finish, looks
        self.status, self.error = "InProgress", None
        if not looks:
            self.look()

    def look(self) -> None:
        """Come a step nearer to the end."""
        self.looks -= 1
        if self.looks < 0 and self.status == "InProgress":
            self.error = self.finish()
            self.status = "Failed" if self.error else "Succeeded"


class Azurite:
    """Azurite's blobs, each account by its own host name."""

    def __init__(self, certificate: Path, key: Path) -> None:
        command = [*_azurite(), "--blobHost", "127.0.0.1", "--blobPort", "0"]
        command += ["--cert", str(certificate), "--key", str(key), "--oauth", "basic"]
        command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
        accounts = ";".join(f"{one}:{secrets.token_urlsafe(24)}" for one in (ACCOUNT, OWN))
        self.process = subprocess.Popen(
            [*command, "--silent"],
            env={**npm.environment(), "AZURITE_ACCOUNTS": accounts},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        for line in self.process.stdout:
            if found := re.search(r"listens on https://127.0.0.1:(\d+)", line):
                self.port = int(found[1])
                return
        raise RuntimeError("Azurite did not start")

    def ask(self, request: Request) -> Reply:
        """Hand a request on, and its answer back."""
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        line = http.client.HTTPSConnection("127.0.0.1", self.port, context=trusting, timeout=30)
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in ("connection", "transfer-encoding")
        }
        headers["content-length"] = str(len(request.body))
        line.request(request.method, request.target, request.body, headers)
        came = line.getresponse()
        content = came.read()
        line.close()
        passed = {
            name: value
            for name, value in came.getheaders()
            if name.lower()
            not in ("connection", "keep-alive", "transfer-encoding", "date", "server")
        }
        return Reply(came.status, content, passed)

    def reset(self) -> None:
        """Empty the containers, by making new ones."""
        for account, container in CONTAINERS:
            for method, wanted in (("DELETE", (202, 404)), ("PUT", (201,))):
                headers = {
                    "host": f"{account}{BLOBS}",
                    "authorization": f"Bearer {token('https://storage.azure.com/')}",
                    "x-ms-version": "2021-12-02",
                    "x-ms-date": formatdate(usegmt=True),
                }
                target = f"/{container}?restype=container"
                asked = Request(method, account, f"/{container}", {}, headers, b"", target)
                reply = self.ask(asked)
                assert reply.status in wanted, (method, container, reply)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def _azurite() -> list[str]:
    script = os.environ.get("AZURITE") or npm.installed() / "node_modules/.bin/azurite-blob"
    return [str(npm.NODE / "node"), str(script)]


def _call(name: str, method: str) -> str:
    """Return what a call is called: what it is done to, and how."""
    parts = name.split("/")
    kind = "onlineDeployments" if "/deployments" in name else parts[0]
    return f"{kind}.{parts[-1] if method == 'POST' else method}"


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _version(deployment: dict[str, Any]) -> int:
    return int(deployment["properties"]["environmentVariables"]["MLOPS_VERSION"])


def _refusal(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"error": {"code": code, "message": message}}, SOON)


def _missing(name: str) -> Reply:
    what = f"Microsoft.MachineLearningServices/workspaces/{WORKSPACE}/{name}"
    told = f"The Resource '{what}' under resource group '{GROUP}' was not found."
    return _refusal(404, "ResourceNotFound", told)


def _elsewhere(path: str) -> Reply | None:
    """Return the refusal of what lies in another subscription, group or workspace."""
    found = re.match(r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/.*?/workspaces/([^/]+)", path)
    if not found:
        return _refusal(404, "InvalidResource", f"{path} is not faked")
    subscription, group, workspace = found.groups()
    if subscription != SUBSCRIPTION:
        told = f"The subscription '{subscription}' could not be found."
        return _refusal(404, "SubscriptionNotFound", told)
    if group != GROUP:
        told = f"Resource group '{group}' could not be found."
        return _refusal(404, "ResourceGroupNotFound", told)
    if workspace != WORKSPACE:
        what = f"Microsoft.MachineLearningServices/workspaces/{workspace}"
        told = f"The Resource '{what}' under resource group '{group}' was not found."
        return _refusal(404, "ResourceNotFound", told)
    return None


def _workspace() -> dict[str, Any]:
    properties = {
        "discoveryUrl": f"https://{HISTORY}/discovery",
        "provisioningState": "Succeeded",
        "storageAccount": f"{SCOPE}/providers/Microsoft.Storage/storageAccounts/{OWN}",
    }
    kind = "Microsoft.MachineLearningServices/workspaces"
    return {
        "id": INSIDE,
        "name": WORKSPACE,
        "type": kind,
        "location": REGION,
        "kind": "Default",
        "properties": properties,
        "tags": {},
    }


def _datastore(name: str) -> dict[str, Any]:
    """Return a datastore of the workspace that is reached by one's own identity."""
    properties = {
        "datastoreType": "AzureBlob",
        "accountName": OWN,
        "containerName": name,
        "endpoint": "core.windows.net",
        "protocol": "https",
        "credentials": {"credentialsType": "None"},
        "isDefault": name == "workspaceblobstore",
        "tags": {},
        "properties": {},
    }
    return {"id": f"{INSIDE}/datastores/{name}", "name": name, "properties": properties}
