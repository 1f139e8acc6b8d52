"""Jobs of Kubernetes: deploy/job.yaml, filled in. A job's id is its name."""

from collections.abc import Iterator

from ..cloud.base import CloudError
from ..cloud.kubernetes import MANAGER, Cloud, Object
from ..settings import Settings
from .base import Compute, Spec, Status

OWNER = "batch.kubernetes.io/job-name"  # label that Kubernetes gives a job's pods


class KubernetesCompute:
    """See :class:`~.base.Compute`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.cluster = cloud, cloud.cluster()

    def submit(self, spec: Spec) -> str:
        """Start a job; one of the same name is left as it is."""
        self.cloud.need("job_image")
        if self.cluster.get("Job", spec.name) is None:
            self.cluster.apply(self._filled(spec))
        return spec.name

    def status(self, job: str) -> Status:
        """Return how a job stands."""
        found = self._find(job)
        ended = _ended(found)
        if ended:
            return "succeeded" if ended["type"] == "Complete" else "failed"
        if found["spec"].get("suspend"):
            return "stopped"
        return "running" if found.get("status", {}).get("ready") else "waiting"

    def log(self, job: str) -> Iterator[str]:
        """Yield what a job has printed so far."""
        for pod in self.cluster.pods(**{OWNER: job}):
            yield from self.cluster.log(pod["metadata"]["name"])

    def why(self, job: str) -> str:
        """Return what Kubernetes says of a job's end, or of why it has not begun."""
        ended = _ended(self._find(job))
        said = [f"{ended.get('reason', '')}: {ended.get('message', '')}"] if ended else []
        for pod in self.cluster.pods(**{OWNER: job}):
            status = pod.get("status", {})
            said += [one["message"] for one in status.get("conditions", []) if one.get("message")]
            for container in status.get("containerStatuses", []):
                for state in container.get("state", {}).values():
                    said.append(f"{state.get('reason', '')} {state.get('message', '')}".strip())
        return "; ".join(one.strip(": ") for one in said if one.strip(": "))

    def stop(self, job: str) -> None:
        """Suspend a job, which ends its pod; one that has ended is left alone."""
        found = self.cluster.get("Job", job)
        if found is None or _ended(found):
            return
        kind = {key: found[key] for key in ("apiVersion", "kind")}
        ended = {**kind, "metadata": {"name": job}, "spec": {"suspend": True}}
        self.cluster.apply(ended, manager=f"{MANAGER}-stop")  # the rest stays as it is

    def remove(self, job: str) -> None:
        """Delete a job and its pods."""
        self.cluster.delete("Job", job)

    def _find(self, job: str) -> Object:
        found = self.cluster.get("Job", job)
        if found is None:
            raise CloudError(f"There is no job {job} in namespace {self.cloud.namespace}.")
        return found

    def _filled(self, spec: Spec) -> Object:
        selector = self.cloud.spot_selector if spec.spot else {}
        variables = {"HOME": "/tmp", **spec.variables}  # noqa: S108 (all that it may write to)
        return self.cloud.fill(
            "job.yaml",
            job=spec.name,
            image=self.cloud.job_image,
            command=spec.command,
            variables=[{"name": key, "value": value} for key, value in variables.items()],
            machine=self.cloud.job_machine.model_dump(),
            timeout=spec.timeout,
            tags={f"mlops/{key}": value for key, value in spec.tags.items()},
            selector=selector,
            tolerations=[
                {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
                for key, value in selector.items()
            ],
        )


def open_compute(settings: Settings, environment: str) -> Compute:
    """Return the machines of an environment's cluster."""
    return KubernetesCompute(Cloud.read(settings, environment))


def _ended(job: Object) -> Object | None:
    """Return the condition that says how a job ended."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return dict(condition)
    return None
