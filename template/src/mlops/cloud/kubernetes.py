"""A namespace of a Kubernetes cluster: its names, and its API server as a few verbs.

Objects are dicts, as YAML has them. They are written by server-side apply: what is named belongs to
this project from then on; every other field stays whoever's it is.
"""

import json
import os
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field

from .. import project
from ..errors import MlopsError
from ..settings import Strict
from .base import CloudError, Names
from .s3 import S3Store

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]

DEPLOY = Path("deploy")
MANAGER = "mlops"  # of the fields that are applied
TIMEOUT = 60.0  # seconds of one call
BACKOFF = 0.25  # seconds before a call is repeated; each time twice as many
VERSIONS = {
    "Deployment": "apps/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "Job": "batch/v1",
    "Pod": "v1",
}
AGAIN = "run the command again"
# What a refusal means: its status, a word of its message, the key, and what to do.
FIXES = (
    (401, "", "context", "does not know you any more: log in to the cluster again"),
    (
        403,
        "quota",
        "namespace",
        "has too little quota left: ask for less (cloud.machine, cloud.instances) or get more",
    ),
    (
        403,
        "",
        "namespace",
        "does not allow it: be in the group that deploy/base/accounts.yaml names, and see that "
        "`kubectl apply -k deploy/overlays/{environment}` was done",
    ),
    (404, "namespace", "namespace", "is not there: `make infra-bootstrap ENV={environment}`"),
    (404, "", "context", "has no Gateway API: install its standard channel"),
    (409, "", "namespace", f"is being changed by somebody else: {AGAIN}"),
    (429, "", "context", f"has too much to do: {AGAIN}"),
    (400, "", "namespace", "refuses a value: correct the one that it names"),
    (422, "", "namespace", "refuses a value: correct the one that it names"),
    (0, "", "context", "cannot be reached: name one of `kubectl config get-contexts`"),
)
FAILED = ("context", f"has failed: {AGAIN}")


class Machine(Strict):
    """What a pod asks for, and gets no more than."""

    cpu: str = "1"
    memory: str = "1Gi"


class Cloud(Names):
    """The key ``cloud`` of an environment's file."""

    context: str = ""  # of the kubeconfig; empty: its current one, or the pod's own account
    namespace: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    image: str  # the repository of images; a version is its tag
    host: str = ""  # of requests: what the gateway tells this project's by
    address: str = ""  # URL of the gateway, where DNS does not lead from the host to it
    gateway: str = ""
    gateway_namespace: str = ""  # empty: the project's own
    machine: Machine = Machine()  # of a server
    instances: int = Field(default=2, ge=1)  # of each slot, when it starts
    job_image: str = ""  # the whole reference
    job_machine: Machine = Machine(cpu="2", memory="4Gi")
    # Labels of nodes with spare capacity, and their taints.
    spot_selector: dict[str, str] = Field(default_factory=dict)
    bucket: str = ""  # of an S3-compatible store: journals and jobs
    endpoint_url: str = ""  # its address; empty: AWS itself
    region: str = "us-east-1"  # what most other stores take

    @property
    def name(self) -> str:
        """Return what this project's objects are called, or begin with."""
        return f"{project.NAME}-{self._environment}"

    def need(self, *keys: str) -> None:
        """Raise :class:`MlopsError` if one of these keys is empty."""
        if missing := [f"cloud.{key}" for key in keys if not getattr(self, key)]:
            raise MlopsError(
                f"environments/{self._environment}.yaml: {', '.join(missing)} is missing."
            )

    def store(self) -> S3Store:
        """Return the project's part of the bucket; AWS_* or the pod's identity open it."""
        import boto3

        self.need("bucket")
        address = {"endpoint_url": self.endpoint_url or None, "region_name": self.region}
        return S3Store(self.bucket, project.NAME, boto3.client("s3", **address))

    def fill(self, file: str, **values: Any) -> Object:
        """Return the object of a file in deploy/, whose ``${keys}`` are filled in: JSON or text.

        Raises:
            MlopsError: the file is not there, or has a placeholder of another name.
        """
        values |= {"project": project.NAME, "name": self.name, "namespace": self.namespace}
        texts = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
        }
        try:
            text = Template((DEPLOY / file).read_text(encoding="utf-8"))
            filled: Object = yaml.safe_load(text.substitute(texts))
        except (OSError, KeyError, ValueError, yaml.YAMLError) as error:
            raise MlopsError(
                f"{DEPLOY / file} cannot be used: {type(error).__name__} {error}. It lies in the "
                f"repository's root, and takes {', '.join(f'${{{key}}}' for key in texts)}; a "
                "dollar sign of its own is written as two."
            ) from error
        return filled

    def cluster(self) -> "Cluster":
        """Return the API server."""
        return Cluster(self)

    def client(self) -> "ApiClient":
        """Return the official client, logged in as the kubeconfig or the pod's account says."""
        from kubernetes import client, config
        from urllib3 import Retry

        settings = client.Configuration()
        # All that is repeated comes to the same: an object is applied whole. Not a POST to a pod.
        settings.retries = Retry(
            total=4,
            backoff_factor=BACKOFF,
            allowed_methods={"GET", "PATCH", "DELETE"},
            status_forcelist=(429, 500, 502, 504),
            raise_on_status=False,
        )
        files = os.environ.get("KUBECONFIG", str(Path.home() / ".kube/config"))
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ and not self.context:
                config.load_incluster_config(client_configuration=settings)
            else:
                config.load_kube_config(files, self.context or None, settings, False)
        except (config.ConfigException, OSError) as error:
            raise self.refusal(error, self._environment) from error
        return client.ApiClient(settings)

    def refusal(self, error: Exception, environment: str) -> CloudError:
        """Return what the client's error means: the file, the key, its value, the fix."""
        status = getattr(error, "status", None) or 0
        said = _said(error)
        key, fix = next(
            ((key, fix) for code, word, key, fix in FIXES if code == status and word in said),
            FAILED,
        )
        fix = fix.format(environment=environment, namespace=self.namespace)
        named = f"cloud.{key} ({getattr(self, key) or 'the current one'})"
        return CloudError(f"environments/{environment}.yaml: {named} {fix}. It said: {said}")


class Cluster:
    """The API server, for one namespace. Every error is a :class:`CloudError`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self._client = cloud, cloud.client()

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object, or None if there is none."""
        status, content = self._call("GET", _path(kind, self.cloud.namespace, name))
        return None if status == 404 else json.loads(content)

    def pods(self, **labels: str) -> list[Object]:
        """Return the pods that have these labels, but those about to end."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        path = _path("Pod", self.cloud.namespace)
        _, content = self._call("GET", path, {"labelSelector": selector})
        found: list[Object] = json.loads(content)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def apply(self, wanted: Object, manager: str = MANAGER) -> Object:
        """Make an object so; return it as it stands. Nothing happens if it is so already.

        Fields that the manager named before, and does not any more, are gone.
        """
        path = _path(wanted["kind"], self.cloud.namespace, wanted["metadata"]["name"])
        query = {"fieldManager": manager, "force": "true"}
        _, content = self._call("PATCH", path, query, wanted, "application/apply-patch+yaml")
        applied: Object = json.loads(content)
        return applied

    def delete(self, kind: str, name: str) -> None:
        """Delete an object and what it has made; one that is not there is no error."""
        path = _path(kind, self.cloud.namespace, name)
        self._call("DELETE", path, body={"propagationPolicy": "Background"})

    def log(self, pod: str, **query: str) -> list[str]:
        """Return what a pod has printed, as far as it is kept."""
        path = f"{_path('Pod', self.cloud.namespace, pod)}/log"
        status, content = self._call("GET", path, query, refused=(400,))  # 400: not yet started
        return content.decode(errors="replace").splitlines() if status == 200 else []

    def ask(
        self, pod: str, path: str, body: Any | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send one request to a pod's server through the API server; return status and answer."""
        way = f"{_path('Pod', self.cloud.namespace, pod)}:8080/proxy{path}"
        method = "GET" if body is None else "POST"
        status, content = self._send(method, way, {}, body, "application/json", headers or {})
        if status >= 400 and _is_status(content):  # not the server's own answer
            raise self._refused(status, content)
        return status, content

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any | None = None,
        kind: str = "application/json",
        refused: tuple[int, ...] = (),
    ) -> tuple[int, bytes]:
        """Return status and answer; 404 only of what could be there, and is not."""
        status, content = self._send(method, path, query or {}, body, kind, {})
        absent = status == 404 and method != "PATCH" and b'"details"' in content
        if status >= 400 and not absent and status not in refused:
            raise self._refused(status, content)
        return status, content

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Any | None,
        kind: str,
        headers: dict[str, str],
    ) -> tuple[int, bytes]:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        request = self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": "*/*", "Content-Type": kind, **headers},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(*request, _request_timeout=TIMEOUT)
            return response.status, response.read()
        except (HTTPError, ApiException) as error:
            raise self.cloud.refusal(error, self.cloud._environment) from error

    def _refused(self, status: int, content: bytes) -> CloudError:
        from kubernetes.client import ApiException

        error = ApiException(status=status, body=content.decode(errors="replace"))
        return self.cloud.refusal(error, self.cloud._environment)


def _path(kind: str, namespace: str, name: str = "") -> str:
    version = VERSIONS[kind]
    root = "apis" if "/" in version else "api"
    return f"/{root}/{version}/namespaces/{namespace}/{kind.lower()}s/{name}".rstrip("/")


def _is_status(content: bytes) -> bool:
    """Tell whether an answer is the API server's own."""
    try:
        return json.loads(content).get("kind") == "Status"  # type: ignore[no-any-return]
    except (ValueError, AttributeError):
        return False


def _said(error: Exception) -> str:
    """Return the message of an error in one line."""
    body = getattr(error, "body", None) or ""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return " ".join((body or str(error)).split())[:300]
