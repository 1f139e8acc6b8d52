"""What moto lacks: endpoints whose variants answer, and training jobs that run.

State lies in moto's own objects where it has them, so that all else that moto answers agrees.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, Protocol
from xml.sax.saxutils import escape

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from clouds.aws_model import faults

REGION = "eu-west-1"
LOOKS = 3  # at a slow operation before it is done
MUTATING = re.compile(r"(Create|Update|Delete|Add|Put|Stop)[A-Z]")
S3 = {"PUT": "PutObject", "GET": "GetObject", "DELETE": "DeleteObject", "HEAD": "HeadObject"}
REFUSALS = {
    "error": (500, "InternalFailure", "An internal error has occurred."),
    "throttle": (400, "ThrottlingException", "Rate exceeded"),
    "expired": (
        400,
        "ExpiredTokenException",
        "The security token is expired",
    ),
    "denied": (400, "AccessDeniedException", "User is not authorized to perform this action"),
    "quota": (400, "ResourceLimitExceeded", "The account-level service limit has been reached"),
}
JSON = dict[str, Any]


class Refused(Exception):
    """What the platform answers instead."""

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code, self.status = code, status
        self.body = {"__type": code, "message": message, "Message": message, **more}


class Owner(Protocol):
    """The platform that this is the front of."""

    servers: Any
    calls: list[str]
    faults: Any  # the next calls of a name that fail, and how

    def environment(self) -> dict[str, str]: ...


class Front:
    """A WSGI application before moto's."""

    def __init__(self, owner: Owner) -> None:
        self.owner, self.lock = owner, threading.RLock()
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.pending: dict[str, tuple[int, Callable[[], None]]] = {}  # looks left, and what follows
        self.counted: Counter[tuple[str, str]] = Counter()
        self.printed: dict[str, tuple[float, list[str]]] = {}
        self.jobs: dict[str, subprocess.Popen[str]] = {}

    def reset(self) -> None:
        """End the jobs, and forget what moto does not know."""
        for name in list(self.jobs):
            self._end(name)
        with self.lock:
            for known in (self.pending, self.counted, self.printed):
                known.clear()

    # Requests -----------------------------------------------------------------

    def __call__(self, environ: JSON, start: Any) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        body = request.get_data()
        operation = _operation(request)
        try:
            response = self._answer(request, operation, body)
        except Refused as refused:
            response = _refusal(request, refused)
        if MUTATING.match(operation) and response.status_code < 300:
            self.owner.calls.append(operation)
        return response(environ, start)

    def _answer(self, request: Request, operation: str, body: bytes) -> Response:
        slow = self._fault(operation)
        if "/invocations" in request.path:
            return self._invocation(request, body)
        if not request.headers.get("X-Amz-Target", "").startswith(("SageMaker.", "Logs_")):
            return self._pass(request, body)
        asked: JSON = json.loads(body or b"{}")
        sagemaker = request.headers["X-Amz-Target"].startswith("SageMaker.")
        if found := faults("sagemaker", operation, asked) if sagemaker else []:
            raise Refused("ValidationException", "; ".join(found))
        with self.lock:
            mine = getattr(self, f"_{operation}", None)
            passed: Response | None = None

            def onward(changed: JSON | None = None) -> JSON:
                nonlocal passed
                passed = self._pass(request, json.dumps(changed or asked).encode())
                if passed.status_code >= 300:
                    raise Through(passed)
                return dict(json.loads(passed.get_data() or b"{}"))

            try:
                answer = mine(asked, onward, slow) if mine else onward()
            except Through as through:
                return through.response
        return Response(json.dumps(answer), content_type="application/x-amz-json-1.1")

    def _pass(self, request: Request, body: bytes) -> Response:
        environ = {**request.environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        environ.pop("werkzeug.request", None)
        with self.lock:
            return Response.from_app(self.moto, environ, buffered=True)

    def _fault(self, operation: str) -> bool:
        """Refuse, if a test wills it; tell whether the operation is to be slow."""
        waiting = self.owner.faults.get(operation)
        if not waiting:
            return False
        kind = waiting.pop()
        if kind == "slow":
            return True
        status, code, message = REFUSALS[kind]
        raise Refused(code, message, status)

    # Endpoints ----------------------------------------------------------------

    @property
    def sagemaker(self) -> Any:
        """Return moto's SageMaker."""
        return get_backend("sagemaker")[DEFAULT_ACCOUNT_ID][REGION]

    def _CreateModel(self, asked: JSON, onward: Any, _: bool) -> JSON:
        self._free(self.sagemaker._models, asked["ModelName"], "model")
        return onward()

    def _DeleteModel(self, asked: JSON, onward: Any, _: bool) -> JSON:
        used = [one["ModelName"] for c in self._configs_in_use() for one in _variants(c)]
        if asked["ModelName"] in used:
            raise Refused("ValidationException", f"Model {asked['ModelName']} is in use")
        return onward()

    def _CreateEndpointConfig(self, asked: JSON, onward: Any, _: bool) -> JSON:
        self._free(self.sagemaker.endpoint_configs, asked["EndpointConfigName"], "endpoint config")
        production, shadow = asked["ProductionVariants"], asked.get("ShadowProductionVariants", [])
        if shadow and (len(production), len(shadow)) != (1, 1):
            raise Refused("ValidationException", "One production and one shadow variant only")
        if not sum(one.get("InitialVariantWeight", 1.0) for one in production):
            raise Refused("ValidationException", "The weights add up to nothing")
        for one in production + shadow:
            if one["ModelName"] not in self.sagemaker._models:
                raise Refused("ValidationException", f'Could not find model "{one["ModelName"]}".')
        answer = onward()
        made = self.sagemaker.endpoint_configs[asked["EndpointConfigName"]]
        made.shadow_production_variants = shadow  # moto drops them
        return answer

    def _DeleteEndpointConfig(self, asked: JSON, onward: Any, _: bool) -> JSON:
        # The real one deletes it, and the endpoint can't be changed any more.
        if asked["EndpointConfigName"] in [c.endpoint_config_name for c in self._configs_in_use()]:
            raise Refused("ValidationException", "The endpoint configuration is in use")
        return onward()

    def _CreateEndpoint(self, asked: JSON, onward: Any, slow: bool) -> JSON:
        name = asked["EndpointName"]
        self._free(self.sagemaker.endpoints, name, "endpoint")
        answer = onward()
        endpoint = self.sagemaker.endpoints[name]
        endpoint.endpoint_status = "Creating"
        self._later(name, slow, lambda: self._swap(endpoint, asked["EndpointConfigName"]))
        return answer

    def _UpdateEndpoint(self, asked: JSON, _: Any, slow: bool) -> JSON:
        name, config = asked["EndpointName"], asked["EndpointConfigName"]
        endpoint = self._endpoint(name)
        if config not in self.sagemaker.endpoint_configs:
            raise Refused("ValidationException", f'Could not find configuration "{config}".')
        if config == endpoint.endpoint_config_name:
            raise Refused("ValidationException", "The endpoint has this configuration already")
        endpoint.endpoint_status = "Updating"
        self._later(name, slow, lambda: self._swap(endpoint, config, asked))
        return {"EndpointArn": endpoint.arn}

    def _UpdateEndpointWeightsAndCapacities(self, asked: JSON, _: Any, slow: bool) -> JSON:
        endpoint = self._endpoint(asked["EndpointName"])
        wanted = {o["VariantName"]: o for o in asked["DesiredWeightsAndCapacities"]}
        if not wanted.keys() <= {one["VariantName"] for one in endpoint.production_variants}:
            raise Refused("ValidationException", "There is no such production variant")

        def follow() -> None:
            for one in endpoint.production_variants:
                new = wanted.get(one["VariantName"], {})
                for what in ("Weight", "InstanceCount"):
                    if (value := new.get(f"Desired{what}")) is not None:
                        one[f"Current{what}"] = one[f"Desired{what}"] = value
            endpoint.endpoint_status = "InService"

        endpoint.endpoint_status = "Updating"
        self._later(asked["EndpointName"], slow, follow)
        return {"EndpointArn": endpoint.arn}

    def _DeleteEndpoint(self, asked: JSON, onward: Any, slow: bool) -> JSON:
        name = asked["EndpointName"]
        if not slow:
            self._endpoint(name)
            return onward()
        endpoint = self._endpoint(name)
        endpoint.endpoint_status = "Deleting"
        self._later(name, slow, lambda: self.sagemaker.endpoints.pop(name))
        return {}

    def _DescribeEndpoint(self, asked: JSON, onward: Any, _: bool) -> JSON:
        self._look(asked["EndpointName"])
        return onward()

    def _ListTags(self, asked: JSON, onward: Any, _: bool) -> JSON:
        if self.sagemaker._get_resource_from_arn(asked["ResourceArn"]) is None:
            raise Refused("ValidationException", f"{asked['ResourceArn']} does not exist.")
        return onward()

    def _AddTags(self, asked: JSON, onward: Any, _: bool) -> JSON:
        keys = [tag["Key"] for tag in asked["Tags"]]
        self.sagemaker.delete_tags(asked["ResourceArn"], keys)  # moto adds a second one
        return onward()

    def _UpdateModelPackage(self, asked: JSON, onward: Any, _: bool) -> JSON:
        found = self.sagemaker.model_packages[asked["ModelPackageArn"]]
        merged = {**(found.customer_metadata_properties or {})}  # moto forgets what is not said
        merged.update(asked.get("CustomerMetadataProperties", {}))
        if len(merged) > 50:
            raise Refused("ValidationException", "More than 50 properties")
        kept = {"ModelApprovalStatus": found.model_approval_status}
        return onward({**kept, **asked, "CustomerMetadataProperties": merged})

    def _swap(self, endpoint: Any, config: str, asked: JSON | None = None) -> None:
        """Start the containers of a configuration; go back if one is not ready."""
        new = self.sagemaker.endpoint_configs[config]
        versions = {one["VariantName"]: self._version(one) for one in _variants(new)}
        for slot, version in versions.items():
            self.owner.servers.restart(version)
            self._print(endpoint.endpoint_name, slot, self.owner.servers.lines(version))
        failed = [s for s, version in versions.items() if not self.owner.servers.ready(version)]
        if failed and asked is None:
            endpoint.endpoint_status = "Failed"
            endpoint.failure_reason = f"The container of variant {failed[0]} did not pass the ping"
            return
        endpoint.endpoint_status = "InService"
        if failed:
            return
        kept = self._kept(endpoint, asked or {})
        endpoint.endpoint_config_name = config
        for kind in ("production_variants", "shadow_production_variants"):
            summaries = [_summary(one, kept) for one in getattr(new, kind, [])]
            setattr(endpoint, kind, summaries)

    @staticmethod
    def _kept(endpoint: Any, asked: JSON) -> dict[str, JSON]:
        """Return the properties of variants that an update retains."""
        if not asked.get("RetainAllVariantProperties"):
            return {}
        excluded = [
            one["VariantPropertyType"] for one in asked.get("ExcludeRetainedVariantProperties", [])
        ]
        names = {"DesiredWeight": "CurrentWeight", "DesiredInstanceCount": "CurrentInstanceCount"}
        return {
            one["VariantName"]: {
                current: one[current] for name, current in names.items() if name not in excluded
            }
            for one in endpoint.production_variants
        }

    def _endpoint(self, name: str) -> Any:
        """Return an endpoint that may be changed now."""
        if name not in self.sagemaker.endpoints:
            raise Refused("ValidationException", f'Could not find endpoint "{name}".')
        found = self.sagemaker.endpoints[name]
        if name in self.pending:
            raise Refused("ValidationException", f'Cannot update in-progress endpoint "{name}".')
        return found

    def _later(self, name: str, slow: bool, follow: Callable[[], None]) -> None:
        self.pending[name] = (LOOKS if slow else 0, follow)
        if not slow:
            self._look(name)

    def _look(self, name: str) -> None:
        """Let what is under way go on a little."""
        left, follow = self.pending.pop(name, (0, lambda: None))
        if left:
            self.pending[name] = (left - 1, follow)
        else:
            follow()

    @staticmethod
    def _free(taken: JSON, name: str, what: str) -> None:
        if name in taken:
            raise Refused("ValidationException", f"Cannot create already existing {what} {name!r}.")

    def _configs_in_use(self) -> list[Any]:
        names = [one.endpoint_config_name for one in self.sagemaker.endpoints.values()]
        configs = self.sagemaker.endpoint_configs
        return [configs[name] for name in names if name in configs]

    def _version(self, variant: JSON) -> int:
        image = self.sagemaker._models[variant["ModelName"]].primary_container["Image"]
        return int(image.rpartition(":")[2])

    # Answers ------------------------------------------------------------------

    def invoke(self, slot: str | None, body: JSON, name: str = "") -> tuple[int, JSON]:
        """Route one request; return the container's status and answer."""
        with self.lock:
            name = name or next(iter(self.sagemaker.endpoints), "")
            endpoint = self.sagemaker.endpoints.get(name)
            if endpoint is None or endpoint.endpoint_status in ("Creating", "Failed"):
                raise Refused("ValidationError", f"Endpoint {name} not found")
            weights = {o["VariantName"]: o["CurrentWeight"] for o in endpoint.production_variants}
            if slot and slot not in weights:
                raise Refused("ValidationError", f"Variant {slot} not found in endpoint {name}")
            config = self.sagemaker.endpoint_configs[endpoint.endpoint_config_name]
            versions = {one["VariantName"]: self._version(one) for one in _variants(config)}
            asked = [slot or self.owner.servers.pick(weights)]
            if slot is None:
                asked += [one["VariantName"] for one in config.shadow_production_variants]
        answers = []
        for one in asked:
            status, answer = self.owner.servers.answer(versions[one], body)
            self.counted[one, "Invocations"] += 1
            self.counted[one, "Invocation5XXErrors"] += status >= 500
            answers.append((status, answer))
        return answers[0]

    def _invocation(self, request: Request, body: bytes) -> Response:
        name = request.path.split("/")[2]
        slot = request.headers.get("X-Amzn-SageMaker-Target-Variant")
        status, answer = self.invoke(slot, json.loads(body), name)
        text = json.dumps(answer)
        if status >= 400:
            raise Refused(
                "ModelError",
                f"Received {status} from the container",
                424,
                OriginalStatusCode=status,
                OriginalMessage=text,
            )
        return Response(text, content_type="application/json")

    def publish(self) -> None:
        """Hand over to CloudWatch what was counted."""
        name = next(iter(self.sagemaker.endpoints), "")
        with self.lock:
            get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][REGION].put_metric_data(
                "AWS/SageMaker",
                [
                    {
                        "MetricName": metric,
                        "Value": float(count),
                        "Timestamp": utcnow().replace(second=0, microsecond=0),
                        "Dimensions": [
                            {"Name": "EndpointName", "Value": name},
                            {"Name": "VariantName", "Value": slot},
                        ],
                    }
                    for (slot, metric), count in self.counted.items()
                ],
            )
            self.counted.clear()

    def traffic(self) -> dict[str, int]:
        """Return the shares of the one endpoint."""
        endpoint = next(iter(self.sagemaker.endpoints.values()), None)
        if endpoint is None:
            return {}
        weights = {one["VariantName"]: one["CurrentWeight"] for one in endpoint.production_variants}
        shares = {slot: round(100 * w / sum(weights.values())) for slot, w in weights.items()}
        for one in getattr(endpoint, "shadow_production_variants", []):
            shares["mirror"] = round(100 * one["CurrentWeight"] / sum(weights.values()))
        return shares

    def left(self) -> list[str]:
        """Return the names of what exists."""
        backend = self.sagemaker
        kinds = (backend.endpoints, backend.endpoint_configs, backend._models)
        return [n for k in (*kinds, backend.training_jobs, backend.model_packages) for n in k]

    # Logs ---------------------------------------------------------------------

    def _FilterLogEvents(self, asked: JSON, onward: Any, _: bool) -> JSON:
        """Answer for streams with a prefix, which moto does not look at."""
        group = asked["logGroupName"]
        endpoint = self.sagemaker.endpoints.get(group.rpartition("/")[2])
        if "/Endpoints/" in group and endpoint and endpoint.endpoint_status != "Failed":
            self._tell(endpoint)
        groups = get_backend("logs")[DEFAULT_ACCOUNT_ID][REGION].groups
        streams = groups[group].streams if group in groups else {}
        prefix = asked.get("logStreamNamePrefix", "")
        names = [one for one in streams if one.startswith(prefix)]
        if streams and not names:
            return {"events": []}
        return onward({**asked, "logStreamNames": names})

    def _tell(self, endpoint: Any) -> None:
        """Let the servers print their counts, as they do every so many seconds."""
        config = self.sagemaker.endpoint_configs[endpoint.endpoint_config_name]
        for one in _variants(config):
            lines = self.owner.servers.lines(self._version(one))
            key = f"{endpoint.endpoint_name}/{one['VariantName']}"
            when, before = self.printed.get(key, (0.0, []))
            if lines != before or time.time() - when > 5:
                self.printed[key] = (time.time(), lines)
                self._print(endpoint.endpoint_name, one["VariantName"], lines)

    def _print(self, endpoint: str, slot: str, lines: list[str]) -> None:
        self._log(f"/aws/sagemaker/Endpoints/{endpoint}", f"{slot}/i-0", lines)

    def _log(self, group: str, stream: str, lines: list[str]) -> None:
        logs = get_backend("logs")[DEFAULT_ACCOUNT_ID][REGION]
        with self.lock:
            if group not in logs.groups:
                logs.create_log_group(group, {})
            logs.ensure_log_stream(group, stream)
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": line} for line in lines]
            logs.groups[group].put_log_events(stream, events)

    # Training jobs ------------------------------------------------------------

    def _CreateTrainingJob(self, asked: JSON, onward: Any, slow: bool) -> JSON:
        name, limit = asked["TrainingJobName"], asked["StoppingCondition"]
        if name in self.sagemaker.training_jobs:
            raise Refused("ResourceInUse", f"Training job names must be unique: {name}")
        if asked.get("EnableManagedSpotTraining") and (
            limit.get("MaxWaitTimeInSeconds", 0) < limit["MaxRuntimeInSeconds"]
        ):
            raise Refused("ValidationException", "MaxWaitTime is below MaxRuntime")
        answer = onward()
        job = self.sagemaker.training_jobs[name]
        job.training_job_status, job.secondary_status = "InProgress", "Starting"
        job.secondary_status_transitions[0]["Status"] = "Starting"
        self._later(f"job/{name}", slow, lambda: self._run(job, asked))
        return answer

    def _DescribeTrainingJob(self, asked: JSON, onward: Any, _: bool) -> JSON:
        self._look(f"job/{asked['TrainingJobName']}")
        return onward()

    def _StopTrainingJob(self, asked: JSON, _: Any, slow: bool) -> JSON:
        job = self._job(asked["TrainingJobName"])
        if job.training_job_status != "InProgress":
            raise Refused("ValidationException", f"The job is {job.training_job_status}")
        self.pending.pop(f"job/{job.training_job_name}", None)
        job.training_job_status = job.secondary_status = "Stopping"
        if job.training_job_name in self.jobs:
            self._end(job.training_job_name)
        else:
            self._over(job, "Stopped", "Stopped")
        return {}

    def _DeleteTrainingJob(self, asked: JSON, _: Any, slow: bool) -> JSON:
        job = self._job(asked["TrainingJobName"])
        if job.training_job_status in ("InProgress", "Stopping"):
            raise Refused("ResourceInUse", f"The job is {job.training_job_status}")
        del self.sagemaker.training_jobs[job.training_job_name]
        return {}

    def _job(self, name: str) -> Any:
        if name not in self.sagemaker.training_jobs:
            raise Refused("ResourceNotFound", f"Requested resource not found: {name}")
        return self.sagemaker.training_jobs[name]

    def _run(self, job: Any, asked: JSON) -> None:
        """Start a job's command, as its container would."""
        algorithm = asked["AlgorithmSpecification"]
        command = [
            *algorithm.get("ContainerEntrypoint", []),
            *algorithm.get("ContainerArguments", []),
        ]
        job.secondary_status = "Training"
        process = subprocess.Popen(
            command,
            env={**self.owner.environment(), **asked.get("Environment", {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.jobs[job.training_job_name] = process
        limit = asked["StoppingCondition"]["MaxRuntimeInSeconds"]
        threading.Thread(target=self._follow, args=(job, process, limit), daemon=True).start()

    def _follow(self, job: Any, process: "subprocess.Popen[str]", limit: float) -> None:
        name = job.training_job_name
        overtime = threading.Timer(limit, self._kill, (process,))
        overtime.start()
        assert process.stdout
        for line in process.stdout:
            self._log("/aws/sagemaker/TrainingJobs", f"{name}/algo-1", [line.rstrip("\n")])
        code = process.wait()
        late = overtime.finished.is_set()
        overtime.cancel()
        if job.training_job_status == "Stopping":
            self._over(job, "Stopped", "Stopped")
        elif late:
            self._over(job, "Stopped", "MaxRuntimeExceeded")
        elif code:
            job.failure_reason = f"AlgorithmError: , exit code: {code}"
            self._over(job, "Failed", "Failed")
        else:
            self._over(job, "Completed", "Completed")
        self.jobs.pop(name, None)

    @staticmethod
    def _over(job: Any, status: str, secondary: str) -> None:
        job.secondary_status_transitions.append(
            {"Status": secondary, "StartTime": utcnow(), "StatusMessage": f"The job is {status}"}
        )
        job.training_job_status, job.secondary_status = status, secondary

    def _end(self, name: str) -> None:
        self._kill(self.jobs[name])

    @staticmethod
    def _kill(process: "subprocess.Popen[str]") -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


class Through(Exception):
    """What moto itself has refused."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def _variants(config: Any) -> list[JSON]:
    shadows: list[JSON] = getattr(config, "shadow_production_variants", [])
    return [*config.production_variants, *shadows]


def _summary(variant: JSON, kept: dict[str, JSON]) -> JSON:
    told = {
        "CurrentWeight": variant.get("InitialVariantWeight", 1.0),
        "CurrentInstanceCount": variant["InitialInstanceCount"],
        **kept.get(variant["VariantName"], {}),
    }
    told["DesiredWeight"], told["DesiredInstanceCount"] = told.values()
    return {"VariantName": variant["VariantName"], **told}


def _operation(request: Request) -> str:
    """Return the name of the call."""
    if target := request.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    if "/operation/" in request.path:
        return request.path.rpartition("/")[2]
    if "/invocations" in request.path:
        return "InvokeEndpoint"
    if action := request.form.get("Action"):
        return action
    if request.path.count("/") < 2 or request.path.endswith("/"):
        return f"{request.method.title()}Bucket"
    return S3.get(request.method, request.method)


def _refusal(request: Request, refused: Refused) -> Response:
    target = request.headers.get("X-Amz-Target", "")
    if target or "/invocations" in request.path:
        response = Response(
            json.dumps(refused.body), refused.status, content_type="application/json"
        )
        response.headers["x-amzn-ErrorType"] = refused.code
        return response
    message = escape(refused.body["message"])
    inner = f"<Code>{refused.code}</Code><Message>{message}</Message>"
    text = f"<Error>{inner}</Error>"
    if request.form.get("Action"):
        text = f"<ErrorResponse>{text}</ErrorResponse>"
    return Response(text, refused.status, content_type="application/xml")
