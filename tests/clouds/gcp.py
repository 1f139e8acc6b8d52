"""A fake of Google Cloud on loopback: Vertex AI, Cloud Storage, Logging and Monitoring over HTTP.

Which requests there are, and what stands in them, is the libraries' own: paths are those of the
clients' REST transports, and each request is parsed by its message, which refuses what it does not
know. Whoever asks must bear a token that the fake has given for the file of an identity.
"""

import base64
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import google_crc32c
from google.cloud import aiplatform_v1 as vertex
from google.cloud.logging_v2 import types as logs
from google.cloud.monitoring_v3 import types as metrics
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, json_format
from google.rpc import code_pb2, status_pb2
from mlops.cloud import gcp
from mlops.settings import Settings

from clouds.servers import Servers

PROJECT, REGION, BUCKET = "acme-models-prod", "europe-west4", "acme-models"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
LOOKS = 3  # at a slow operation, until it is done
PAGE = 100  # entries of a log in one answer
TOKEN = "a-token-of-the-fake"
UNIVERSE = "acme.example"  # in Google's own, the library asks it where a token may be used
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
READS = ("Get", "List", "RawPredict")


class RefusalError(Exception):
    """An answer of Google's that is an error."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name, self.message = status, name, message


REFUSALS = {
    "error": RefusalError(500, "INTERNAL", "Internal error encountered."),
    "throttle": RefusalError(
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute per user'.",
    ),
    "expired": RefusalError(
        401, "UNAUTHENTICATED", "Request had invalid authentication credentials."
    ),
    "denied": RefusalError(
        403,
        "PERMISSION_DENIED",
        f"Permission denied on resource '//aiplatform.googleapis.com/{PARENT}'.",
    ),
    "quota": RefusalError(
        429,
        "RESOURCE_EXHAUSTED",
        "The following quotas are exceeded: CustomModelServingCPUsPerProjectPerRegion",
    ),
}


class Route(NamedTuple):
    """One form of an RPC over HTTP."""

    rpc: str
    verb: str
    path: re.Pattern[str]
    body: str
    request: Any


class Job(NamedTuple):
    """A custom job, and the process that it is."""

    message: vertex.CustomJob
    process: subprocess.Popen[bytes]
    output: Path
    end: float


class Server(ThreadingHTTPServer):
    """A server to which a client that is gone is no error."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Platform:
    """The project on Google Cloud that the suites release to; all of it is a fake."""

    provider = "gcp"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.routes = [*_routes()]
        self.server = Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.variables = {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._identity()),
            "GOOGLE_CLOUD_PROJECT": PROJECT,  # else the library asks Google for it
        }
        gcp.PAUSE = 0.01
        self.jobs: dict[str, Job] = {}
        self.reset()

    def reset(self) -> None:
        """Leave nothing of before."""
        self._end_jobs()
        self.servers = Servers()
        self.calls: list[str] = []
        self.failures: dict[str, tuple[int, str]] = {}
        self.endpoints: dict[str, vertex.Endpoint] = {}
        self.models: dict[str, list[vertex.Model]] = {}
        self.jobs = {}
        self.before = 0.0  # seconds before a response, at which the span that counts it has begun
        self.cancelled: dict[str, int] = {}  # looks until it is
        self.operations: dict[str, tuple[operations_pb2.Operation, int, Callable[[], Any]]] = {}
        self.objects: dict[str, tuple[int, bytes]] = {}
        self.uploads: dict[str, tuple[str, dict[str, str]]] = {}
        self.entries: list[logs.LogEntry] = []
        self.responses: list[tuple[float, str, str, int]] = []
        self.numbers = iter(range(1_000, 10**9))

    def close(self) -> None:
        """End everything."""
        self._end_jobs()
        self.server.shutdown()
        self.server.server_close()

    def settings(self) -> Settings:
        """Return an environment's settings that point here."""
        names = {
            "project": PROJECT,
            "region": REGION,
            "bucket": BUCKET,
            "image": f"{REGION}-docker.pkg.dev/{PROJECT}/models/flight-delays",
            "job_image": f"{REGION}-docker.pkg.dev/{PROJECT}/models/flight-delays-job:1",
            "machine": "n1-standard-4",
            "endpoint": self.address,
        }
        return Settings(target="gcp", cloud=names)

    def fail(self, call: str, times: int, kind: str) -> None:
        """Let the next calls of this name fail."""
        self.failures[call] = (times, kind)

    def send(self, number: int) -> None:
        """Send requests as callers do; then the containers print what they have counted."""
        endpoint = self._main()
        for _ in range(number):
            self._predict(endpoint, {"records": [self.servers.record()]})
        self._print(endpoint)

    def traffic(self) -> dict[str, int]:
        """Return what is routed to each slot."""
        endpoint = self._main()
        slots = {one.id: one.display_name.split("-")[0] for one in endpoint.deployed_models}
        return {slots[id]: share for id, share in endpoint.traffic_split.items()}

    def left(self) -> list[str]:
        """Return the names of all that exists, but of the journal's files."""
        deployed = [
            f"{name}/{one.display_name}"
            for name, endpoint in self.endpoints.items()
            for one in endpoint.deployed_models
        ]
        running = [name for name in self.jobs if self._state(name) == "JOB_STATE_RUNNING"]
        files = [name for name in self.objects if not name.startswith("deployments/")]
        return [*self.endpoints, *self.models, *deployed, *files, *running]

    def answer(
        self, verb: str, url: str, headers: Any, body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        """Answer a request: status, content and headers."""
        parts = urlsplit(url)
        path, query = parts.path, dict(parse_qsl(parts.query))
        with self.lock:
            try:
                if path == "/token":
                    return 200, _token(), {}
                if headers.get("authorization") != f"Bearer {TOKEN}":
                    raise REFUSALS["expired"]
                if "/storage/v1/" in path:
                    return self._storage(verb, path, query, headers, body)
                if path.endswith(":rawPredict"):
                    return self._raw_predict(path, body)
                return 200, self._rpc(verb, unquote(path), query, body), {}
            except json_format.ParseError as error:
                refusal = RefusalError(400, "INVALID_ARGUMENT", str(error))
            except RefusalError as error:
                refusal = error
            told = {"code": refusal.status, "status": refusal.name, "message": refusal.message}
            if query.get("alt") == "media":
                return refusal.status, refusal.message.encode(), {}
            return refusal.status, {"error": told}, {}

    # Vertex AI ------------------------------------------------------------------

    def _rpc(self, verb: str, path: str, query: dict[str, str], body: bytes) -> Any:
        for route in self.routes:
            found = route.path.fullmatch(path)
            if not found or route.verb != verb:
                continue
            content = json.loads(body or b"{}")
            fields = content if route.body == "*" else {route.body: content} if route.body else {}
            asked = {key: value for key, value in query.items() if key != "$alt"}
            for key, value in (*asked.items(), *found.groupdict().items()):
                _set(fields, key.replace("__", "."), value)
            message = route.request()
            json_format.ParseDict(fields, getattr(message, "_pb", message))
            self._failing(route.rpc)
            answer = getattr(self, _snake(route.rpc))(message)
            if not route.rpc.startswith(READS):
                self.calls.append(route.rpc)
            return json_format.MessageToDict(getattr(answer, "_pb", answer))
        raise RefusalError(404, "NOT_FOUND", f"{verb} {path} is no method of the API.")

    def _failing(self, call: str) -> bool:
        """Raise what a test wills; tell whether it is to be slow."""
        times, kind = self.failures.get(call, (0, ""))
        if not times:
            return False
        if kind == "slow":
            return True
        self.failures[call] = (times - 1, kind)
        raise REFUSALS[kind]

    def create_endpoint(self, asked: vertex.CreateEndpointRequest) -> Any:
        self._allowed(asked.parent)
        name = f"{PARENT}/endpoints/{asked.endpoint_id}"
        _matches(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", asked.endpoint_id, "endpoint_id")
        if name in self.endpoints:
            raise RefusalError(409, "ALREADY_EXISTS", f"{name} already exists.")
        made = vertex.Endpoint(asked.endpoint)
        made.name = name
        _labelled(made.labels)

        def effect() -> Any:
            self.endpoints[name] = made
            return made._pb

        return self._operation("CreateEndpoint", name, effect)

    def get_endpoint(self, asked: vertex.GetEndpointRequest) -> Any:
        return self._endpoint(asked.name)

    def update_endpoint(self, asked: vertex.UpdateEndpointRequest) -> Any:
        there = self._endpoint(asked.endpoint.name)
        for path in asked.update_mask.paths:
            if path not in ("traffic_split", "labels"):
                raise RefusalError(400, "INVALID_ARGUMENT", f"update_mask: {path}")
        if "labels" in asked.update_mask.paths:
            _labelled(asked.endpoint.labels)
            there.labels = asked.endpoint.labels
        if "traffic_split" in asked.update_mask.paths:
            self._split(there, dict(asked.endpoint.traffic_split))
        return there

    def deploy_model(self, asked: vertex.DeployModelRequest) -> Any:
        endpoint = self._endpoint(asked.endpoint)
        model = self._model(asked.deployed_model.model)
        made = vertex.DeployedModel(asked.deployed_model)
        made.id = str(next(self.numbers))
        machines = made.dedicated_resources
        if not machines.machine_spec.machine_type or machines.min_replica_count < 1:
            raise RefusalError(400, "INVALID_ARGUMENT", "dedicated_resources: no machines.")
        machine = machines.machine_spec.machine_type
        if not machine.startswith(("n1-", "n2-", "e2-")):
            raise RefusalError(
                400, "INVALID_ARGUMENT", f'Machine type "{machine}" is not supported.'
            )
        version = _served(model)

        def effect() -> Any:
            self.servers.restart(version)
            if not self.servers.ready(version):
                for line in self.servers.lines(version):
                    self._log(_of(endpoint.name), line, {"deployed_model_id": made.id})
                raise RefusalError(
                    400, "FAILED_PRECONDITION", "Model server exited unexpectedly: see its logs."
                )
            endpoint.deployed_models.append(made)
            if asked.traffic_split:
                shares = {id if id != "0" else made.id: v for id, v in asked.traffic_split.items()}
                self._split(endpoint, shares)
            return vertex.DeployModelResponse(deployed_model=made)._pb

        return self._operation("DeployModel", asked.endpoint, effect)

    def undeploy_model(self, asked: vertex.UndeployModelRequest) -> Any:
        endpoint = self._endpoint(asked.endpoint)
        rest = [one for one in endpoint.deployed_models if one.id != asked.deployed_model_id]
        if len(rest) == len(endpoint.deployed_models):
            raise RefusalError(404, "NOT_FOUND", f"DeployedModel {asked.deployed_model_id}")
        if rest and endpoint.traffic_split.get(asked.deployed_model_id):
            raise RefusalError(400, "FAILED_PRECONDITION", "It has traffic assigned to it.")

        def effect() -> Any:
            endpoint.deployed_models = rest
            if not rest:
                endpoint.traffic_split = {}
            return vertex.UndeployModelResponse()._pb

        return self._operation("UndeployModel", asked.endpoint, effect)

    def delete_endpoint(self, asked: vertex.DeleteEndpointRequest) -> Any:
        if self._endpoint(asked.name).deployed_models:
            raise RefusalError(400, "FAILED_PRECONDITION", f"{asked.name} has deployed models.")
        return self._operation(
            "DeleteEndpoint", asked.name, partial(_gone, self.endpoints, asked.name)
        )

    def upload_model(self, asked: vertex.UploadModelRequest) -> Any:
        self._allowed(asked.parent)
        model = vertex.Model(asked.model)
        name = asked.parent_model or f"{PARENT}/models/{asked.model_id}"
        _matches(r"[a-z_][a-z0-9_-]{0,62}", _of(name), "model_id")
        if (name in self.models) != bool(asked.parent_model):
            raise RefusalError(409, "ALREADY_EXISTS", f"{name}: is it there, or is it not?")
        _labelled(model.labels)
        versions = self.models.get(name, [])
        model.name, model.version_id = name, str(len(versions) + 1)
        model.version_aliases = [] if versions else ["default"]
        model.version_create_time = datetime.now(UTC)

        def effect() -> Any:
            self.models.setdefault(name, []).append(model)
            return vertex.UploadModelResponse(model=name, model_version_id=model.version_id)._pb

        return self._operation("UploadModel", name, effect)

    def get_model(self, asked: vertex.GetModelRequest) -> Any:
        return self._model(asked.name)

    def list_models(self, asked: vertex.ListModelsRequest) -> Any:
        wanted = {key.removeprefix("labels."): v for key, v in _filter(asked.filter).items()}
        found = [
            one[-1] for one in self.models.values() if wanted.items() <= one[-1].labels.items()
        ]
        return vertex.ListModelsResponse(models=found)

    def list_model_versions(self, asked: vertex.ListModelVersionsRequest) -> Any:
        self._model(asked.name)
        return vertex.ListModelVersionsResponse(models=self.models[asked.name])

    def merge_version_aliases(self, asked: vertex.MergeVersionAliasesRequest) -> Any:
        model = self._model(asked.name)
        for alias in asked.version_aliases:
            _matches(ALIAS.pattern, alias, "version_aliases")
            for other in self.models[model.name]:
                other.version_aliases = [one for one in other.version_aliases if one != alias]
            model.version_aliases.append(alias)
        return model

    def delete_model(self, asked: vertex.DeleteModelRequest) -> Any:
        self._model(asked.name)
        for endpoint in self.endpoints.values():
            if any(one.model.split("@")[0] == asked.name for one in endpoint.deployed_models):
                raise RefusalError(400, "FAILED_PRECONDITION", f"{asked.name} is deployed.")
        return self._operation("DeleteModel", asked.name, partial(_gone, self.models, asked.name))

    def list_operations(self, asked: Any) -> Any:
        self._endpoint(asked.name)
        mine = [name for name in self.operations if name.startswith(f"{asked.name}/")]
        return operations_pb2.ListOperationsResponse(operations=[self._look(one) for one in mine])

    def get_operation(self, asked: Any) -> Any:
        return self._look(asked.name)

    def cancel_operation(self, asked: Any) -> Any:
        def effect() -> Any:
            raise RefusalError(499, "CANCELLED", "The operation was cancelled.")

        made, _, _ = self.operations[asked.name]
        self.operations[asked.name] = (made, 0, effect)
        return empty_pb2.Empty()

    def create_custom_job(self, asked: vertex.CreateCustomJobRequest) -> Any:
        self._allowed(asked.parent)
        job = vertex.CustomJob(asked.custom_job)
        job.name = f"{PARENT}/customJobs/{next(self.numbers)}"
        job.create_time = datetime.now(UTC)
        _labelled(job.labels)
        (pool,) = job.job_spec.worker_pool_specs
        if not pool.machine_spec.machine_type or not pool.container_spec.image_uri:
            raise RefusalError(
                400, "INVALID_ARGUMENT", "worker_pool_specs: no machine, or no image."
            )
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        output = folder / "output"
        variables = {one.name: one.value for one in pool.container_spec.env}
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [*pool.container_spec.command, *pool.container_spec.args],
                cwd=folder,
                env={**os.environ, **self.variables, **variables},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        limit = job.job_spec.scheduling.timeout.total_seconds()
        self.jobs[job.name] = Job(job, process, output, time.time() + limit)
        return self._job(job.name)

    def get_custom_job(self, asked: vertex.GetCustomJobRequest) -> Any:
        return self._job(asked.name)

    def list_custom_jobs(self, asked: vertex.ListCustomJobsRequest) -> Any:
        wanted = _filter(asked.filter)["display_name"]
        found = [one.message for one in self.jobs.values() if one.message.display_name == wanted]
        return vertex.ListCustomJobsResponse(custom_jobs=found)

    def cancel_custom_job(self, asked: vertex.CancelCustomJobRequest) -> Any:
        job = self._job(asked.name)
        if job.state == vertex.JobState.JOB_STATE_RUNNING:
            self.jobs[asked.name].process.kill()
            self.jobs[asked.name].process.wait()
            self.cancelled[asked.name] = LOOKS
        return empty_pb2.Empty()

    def _allowed(self, name: str) -> None:
        if not name.startswith(f"projects/{PROJECT}/"):
            raise RefusalError(
                403,
                "PERMISSION_DENIED",
                f"Permission denied on resource '{name}' (or it may not exist).",
            )
        if not name.startswith(PARENT):
            raise RefusalError(404, "NOT_FOUND", f"There is no location {name.split('/')[3]}.")

    def _endpoint(self, name: str) -> vertex.Endpoint:
        self._allowed(name)
        if name not in self.endpoints:
            raise RefusalError(404, "NOT_FOUND", f"The Endpoint does not exist: {name}")
        return self.endpoints[name]

    def _model(self, name: str) -> vertex.Model:
        self._allowed(name)
        name, _, which = name.partition("@")
        for model in self.models.get(name, []):
            if (which or "default") in (model.version_id, *model.version_aliases):
                return model
        raise RefusalError(404, "NOT_FOUND", f"The Model does not exist: {name}@{which}")

    def _split(self, endpoint: vertex.Endpoint, shares: dict[str, int]) -> None:
        known = {one.id for one in endpoint.deployed_models}
        if shares and (sum(shares.values()) != 100 or not shares.keys() <= known):
            raise RefusalError(400, "INVALID_ARGUMENT", f"traffic_split: {shares}, of {known}")
        endpoint.traffic_split = shares

    def _operation(self, rpc: str, resource: str, effect: Callable[[], Any]) -> Any:
        """Begin a long operation, which ends at once unless it is to be slow."""
        made = operations_pb2.Operation(name=f"{resource}/operations/{next(self.numbers)}")
        slow = self._failing(rpc)
        if slow:
            self.failures[rpc] = (self.failures[rpc][0] - 1, "slow")
        self.operations[made.name] = (made, LOOKS if slow else 0, effect)
        return self._look(made.name)

    def _look(self, name: str) -> operations_pb2.Operation:
        if name not in self.operations:
            raise RefusalError(404, "NOT_FOUND", name)
        made, looks, effect = self.operations[name]
        self.operations[name] = (made, looks - 1, effect)
        if looks <= 0 and not made.done:
            made.done = True
            try:
                made.response.Pack(effect())
            except RefusalError as error:
                code = code_pb2.Code.Value(error.name)
                made.error.CopyFrom(status_pb2.Status(code=code, message=error.message))
        return made

    def _job(self, name: str) -> vertex.CustomJob:
        if name not in self.jobs:
            raise RefusalError(404, "NOT_FOUND", f"The CustomJob does not exist: {name}")
        job, process, _, end = self.jobs[name]
        if name in self.cancelled:
            self.cancelled[name] -= 1
            state = "CANCELLING" if self.cancelled[name] > 0 else "CANCELLED"
            job.state = vertex.JobState[f"JOB_STATE_{state}"]
            return job
        code = process.poll()
        if code is None and time.time() > end:
            process.kill()
            code = process.wait()
            job.error = status_pb2.Status(code=4, message="The job has run for longer than it may.")
        elif code:
            told = f"The replica workerpool0-0 exited with a non-zero status of {code}."
            job.error = status_pb2.Status(code=3, message=told)
        state = "RUNNING" if code is None else "FAILED" if code else "SUCCEEDED"
        job.state = vertex.JobState[f"JOB_STATE_{state}"]
        return job

    def _state(self, name: str) -> str:
        return str(self._job(name).state.name)

    def _end_jobs(self) -> None:
        for job in self.jobs.values():
            job.process.kill()
            job.process.wait()

    # Requests, their counts and the containers' log ------------------------------

    def _main(self) -> vertex.Endpoint:
        found = [one for name, one in self.endpoints.items() if not name.endswith("-smoke")]
        return found[0] if found else vertex.Endpoint()

    def _raw_predict(self, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        self._failing("RawPredict")
        endpoint = self._endpoint(path.removeprefix("/v1/").removesuffix(":rawPredict"))
        status, answer, id = self._predict(endpoint, json.loads(body))
        return status, answer, {"X-Vertex-AI-Deployed-Model-Id": id}

    def _predict(self, endpoint: vertex.Endpoint, body: Any) -> tuple[int, Any, str]:
        if not endpoint.traffic_split:
            raise RefusalError(400, "FAILED_PRECONDITION", "The Endpoint has no traffic_split.")
        id = self.servers.pick(dict(endpoint.traffic_split))
        one = next(one for one in endpoint.deployed_models if one.id == id)
        status, answer = self.servers.answer(_served(self._model(one.model)), body)
        self.responses.append((time.time(), _of(endpoint.name), id, status))
        return status, answer, id

    def _print(self, endpoint: vertex.Endpoint) -> None:
        for one in endpoint.deployed_models:
            for line in self.servers.lines(_served(self._model(one.model))):
                self._log(_of(endpoint.name), line, {"deployed_model_id": one.id})

    def _log(self, endpoint: str, line: str, labels: dict[str, str]) -> None:
        kind = "aiplatform.googleapis.com/Endpoint"
        told = json.loads(line) if line.startswith("{") else {"message": line}
        entry = {
            "resource": {"type": kind, "labels": {"endpoint_id": endpoint}},
            "labels": labels,
            "timestamp": datetime.now(UTC).isoformat(),
            "jsonPayload": told,
        }
        self.entries.append(_parse(logs.LogEntry(), entry))

    def list_log_entries(self, asked: logs.ListLogEntriesRequest) -> Any:
        wanted = _filter(asked.filter)
        since = wanted.pop("timestamp>")
        entries = self.entries
        if wanted["resource.type"] == "ml_job":
            entries = [*self._job_entries(wanted["resource.labels.job_id"])]
        found = [
            one
            for one in entries
            if wanted.items() <= _flat(one).items()
            and one.timestamp.timestamp() >= datetime.fromisoformat(since).timestamp()
        ]
        begin = int(asked.page_token or 0)
        end = begin + min(asked.page_size, PAGE)
        token = str(end) if end < len(found) else ""
        return logs.ListLogEntriesResponse(entries=found[begin:end], next_page_token=token)

    def _job_entries(self, number: str) -> Iterator[logs.LogEntry]:
        job = self.jobs[f"{PARENT}/customJobs/{number}"]
        for line in job.output.read_text(encoding="utf-8").splitlines():
            labels = {"job_id": number, "task_name": "workerpool0-0"}
            entry = {
                "resource": {"type": "ml_job", "labels": labels},
                "timestamp": datetime.now(UTC).isoformat(),
                "jsonPayload": {"message": line},
            }
            yield _parse(logs.LogEntry(), entry)

    def list_time_series(self, asked: metrics.ListTimeSeriesRequest) -> Any:
        wanted = _filter(asked.filter)
        start, end = asked.interval.start_time.timestamp(), asked.interval.end_time.timestamp()
        series: dict[int, list[Any]] = {}
        for at, endpoint, id, status in self.responses:
            mine = (endpoint, id) == (
                wanted["resource.labels.endpoint_id"],
                wanted["metric.labels.deployed_model_id"],
            )
            if mine and start <= at <= end:
                span = [datetime.fromtimestamp(t, UTC).isoformat() for t in (at - self.before, at)]
                point = {
                    "interval": {"startTime": span[0], "endTime": span[1]},
                    "value": {"int64Value": "1"},
                }
                series.setdefault(status, []).append(point)
        found = [
            {
                "metric": {"type": wanted["metric.type"], "labels": {"response_code": str(status)}},
                "points": points,
            }
            for status, points in series.items()
        ]
        return _parse(metrics.ListTimeSeriesResponse(), {"timeSeries": found})

    # Cloud Storage ---------------------------------------------------------------

    def _storage(
        self, verb: str, path: str, query: dict[str, str], headers: Any, body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        found = re.fullmatch(r"/(?:upload/|download/)?storage/v1/b/([^/]+)/o(?:/(.+))?", path)
        if not found or found[1] != BUCKET:
            raise RefusalError(404, "NOT_FOUND", "The specified bucket does not exist.")
        name = unquote(found[2] or query.get("name", ""))
        if verb in ("POST", "PUT"):
            return self._put(name, query, headers, body)
        call = "DeleteObject" if verb == "DELETE" else "GetObject"
        self._failing(call)
        if name not in self.objects:
            raise RefusalError(404, "NOT_FOUND", f"No such object: {BUCKET}/{name}")
        generation, content = self.objects[name]
        if verb == "DELETE":
            del self.objects[name]
            self.calls.append(call)
            return 204, b"", {}
        if query.get("alt") != "media":
            return 200, _metadata(name, generation, content), {}
        told = {"X-Goog-Generation": str(generation), "X-Goog-Hash": f"crc32c={_sum(content)}"}
        return 200, content, told

    def _put(
        self, name: str, query: dict[str, str], headers: Any, body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        kind = query["uploadType"]
        if kind == "resumable" and "upload_id" not in query:
            name = name or json.loads(body)["name"]
            id = str(next(self.numbers))
            self.uploads[id] = (name, query)
            where = f"{self.address}/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable"
            return 200, b"", {"Location": f"{where}&upload_id={id}"}
        self._failing("PutObject")
        if kind == "resumable":
            name, query = self.uploads.pop(query["upload_id"])
        else:
            typed = b"Content-Type: " + headers["content-type"].encode() + b"\r\n\r\n"
            parts: list[Any] = list(message_from_bytes(typed + body).walk())
            name = json.loads(parts[1].get_payload())["name"]
            body = parts[2].get_payload(decode=True)
        generation = self.objects.get(name, (0, b""))[0]
        if int(query.get("ifGenerationMatch", generation)) != generation:
            raise RefusalError(
                412, "FAILED_PRECONDITION", "A condition you specified did not hold."
            )
        self.objects[name] = (next(self.numbers), body)
        self.calls.append("PutObject")
        return 200, _metadata(name, *self.objects[name]), {}

    def _identity(self) -> Path:
        """Write what says who asks: the file of an identity, as a CI job has one."""
        subject = self.folder / "identity"
        subject.write_text("who asks", encoding="utf-8")
        pool = "projects/1/locations/global/workloadIdentityPools/ci/providers/ci"
        content = {
            "type": "external_account",
            "audience": f"//iam.googleapis.com/{pool}",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.address}/token",
            "credential_source": {"file": str(subject)},
            "universe_domain": UNIVERSE,
        }
        path = self.folder / "credentials.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path


def _routes() -> Iterator[Route]:
    """Yield all requests of the clients' REST transports that this fake answers."""
    for service in ("endpoint", "model", "job"):
        place = f"google.cloud.aiplatform_v1.services.{service}_service.transports.rest_base"
        transport = getattr(import_module(place), f"_Base{service.title()}ServiceRestTransport")
        for name, kind in vars(transport).items():
            rpc = name.removeprefix("_Base")
            if name == rpc or not hasattr(Platform, _snake(rpc)):
                continue
            operation = rpc.endswith(("Operation", "Operations"))
            request = getattr(operations_pb2 if operation else vertex, f"{rpc}Request")
            for option in kind._get_http_options():
                path = _pattern(option["uri"])
                yield Route(rpc, option["method"].upper(), path, option.get("body", ""), request)
    listed = logs.ListLogEntriesRequest
    yield Route("ListLogEntries", "POST", re.compile("/v2/entries:list"), "*", listed)
    series = re.compile("/v3/(?P<name>projects/[^/]+)/timeSeries")
    yield Route("ListTimeSeries", "GET", series, "", metrics.ListTimeSeriesRequest)


def _pattern(uri: str) -> re.Pattern[str]:
    """Return what matches a path such as /v1/{endpoint.name=projects/*}:verb."""

    def field(found: re.Match[str]) -> str:
        form = found[2].replace("*", "[^/:]+")
        return f"(?P<{found[1].replace('.', '__')}>{form})"

    return re.compile(re.sub(r"\{([\w.]+)=([^}]+)\}", field, uri))


def _set(fields: dict[str, Any], key: str, value: Any) -> None:
    """Set a field, or that of a message within."""
    first, _, rest = key.partition(".")
    if rest:
        _set(fields.setdefault(first, {}), rest, value)
    else:
        fields[first] = value


def _filter(text: str) -> dict[str, str]:
    """Return a filter's conditions; all must hold."""
    found = {}
    for condition in text.split(" AND "):
        match = re.fullmatch(r'([\w.]+>?)="([^"]*)"', condition)
        if not match:
            raise RefusalError(400, "INVALID_ARGUMENT", f"filter: {condition}")
        found[match[1]] = match[2]
    return found


def _flat(entry: logs.LogEntry) -> dict[str, str]:
    """Return what a filter can ask of an entry of the log."""
    resource = {f"resource.labels.{key}": value for key, value in entry.resource.labels.items()}
    labels = {f"labels.{key}": value for key, value in entry.labels.items()}
    return {"resource.type": entry.resource.type, **resource, **labels}


def _handler(platform: Platform) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, content, more = platform.answer(self.command, self.path, self.headers, body)
            sent = content if isinstance(content, bytes) else json.dumps(content).encode()
            kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
            self.send_response(status)
            for key, value in {"Content-Type": kind, "Content-Length": len(sent), **more}.items():
                self.send_header(key, str(value))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _token() -> dict[str, Any]:
    kind = "urn:ietf:params:oauth:token-type:access_token"
    return {
        "access_token": TOKEN,
        "issued_token_type": kind,
        "token_type": "Bearer",
        "expires_in": 3600,
    }


def _metadata(name: str, generation: int, content: bytes) -> dict[str, str]:
    told = {"bucket": BUCKET, "name": name, "generation": str(generation)}
    return {**told, "size": str(len(content)), "crc32c": _sum(content)}


def _sum(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


def _parse(message: Any, content: dict[str, Any]) -> Any:
    json_format.ParseDict(content, message._pb)
    return message


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _matches(pattern: str, value: str, what: str) -> None:
    if not re.fullmatch(pattern, value):
        raise RefusalError(400, "INVALID_ARGUMENT", f"{what}: {value!r} does not match {pattern}.")


def _labelled(labels: Any) -> None:
    if len(labels) > 64:
        raise RefusalError(400, "INVALID_ARGUMENT", "More than 64 labels.")
    for text in (*labels.keys(), *labels.values()):
        _matches(LABEL.pattern, text, "label")


def _served(model: vertex.Model) -> int:
    """Return the version whose image a model runs."""
    spec = model.container_spec
    if (spec.ports[0].container_port, spec.predict_route) != (8080, "/invocations"):
        raise RefusalError(400, "FAILED_PRECONDITION", "Nobody listens there.")
    return int(spec.image_uri.rpartition(":")[2])


def _gone(those: dict[str, Any], name: str) -> Any:
    del those[name]
    return empty_pb2.Empty()


def _of(name: str) -> str:
    return name.rpartition("/")[2]
