"""Jobs as custom jobs of Vertex AI."""

import re
import time
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..cloud.base import CloudError
from ..cloud.gcp import Cloud
from ..settings import Settings
from .base import Compute, Spec, Status

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import CustomJob

STATES: dict[str, Status] = {
    "QUEUED": "waiting",
    "PENDING": "waiting",
    "PAUSED": "waiting",
    "RUNNING": "running",
    "UPDATING": "running",
    "CANCELLING": "running",
    "SUCCEEDED": "succeeded",
    "PARTIALLY_SUCCEEDED": "failed",
    "FAILED": "failed",
    "EXPIRED": "failed",
    "CANCELLED": "stopped",
}
ENDED: tuple[Status, ...] = ("succeeded", "failed", "stopped")
POLL = 5.0  # seconds between two looks at a job that is cancelled
LABEL = re.compile(r"[^a-z0-9_-]")


class VertexCompute:
    """Machines of Vertex AI; see :class:`~.base.Compute`. A job's id is its name there."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.poll = cloud, POLL

    def submit(self, spec: Spec) -> str:
        """Start a custom job, if there is none of this name."""
        asked = {"parent": self.cloud.parent, "filter": f'display_name="{spec.name}"'}
        for found in self.cloud.call(self.jobs.list_custom_jobs, request=asked):
            return str(found.name)
        job = {"display_name": spec.name, "job_spec": self._job(spec), "labels": _labels(spec.tags)}
        made = self.cloud.call(
            self.jobs.create_custom_job, parent=self.cloud.parent, custom_job=job
        )
        return str(made.name)

    def status(self, job: str) -> Status:
        """Return how a job stands."""
        return STATES[self._get(job).state.name.removeprefix("JOB_STATE_")]

    def log(self, job: str) -> Iterator[str]:
        """Yield what the container has printed."""
        began = self._get(job).create_time.timestamp()
        number = job.rpartition("/")[2]
        mine = f'resource.type="ml_job" AND resource.labels.job_id="{number}"'
        return self.cloud.lines(mine, began)

    def why(self, job: str) -> str:
        """Return Vertex AI's own word on a job that failed."""
        return str(self._get(job).error.message)

    def stop(self, job: str) -> None:
        """Cancel a job, and return once it has ended."""
        if self.status(job) not in ENDED:
            self.cloud.call(self.jobs.cancel_custom_job, name=job)
        while self.status(job) not in ENDED:
            time.sleep(self.poll)

    def remove(self, job: str) -> None:
        """End a job. Its entry stays, and costs nothing: by it the job is known to have ended."""
        self.stop(job)

    def _get(self, job: str) -> "CustomJob":
        found: CustomJob = self.cloud.call(self.jobs.get_custom_job, name=job)
        return found

    def _job(self, spec: Spec) -> dict[str, Any]:
        if not self.cloud.job_image:
            raise CloudError("cloud.job_image is empty: `make image-job` makes the image.")
        variables = [{"name": key, "value": value} for key, value in spec.variables.items()]
        return {
            "worker_pool_specs": [
                {
                    "machine_spec": {"machine_type": self.cloud.machine},
                    "replica_count": 1,
                    "container_spec": {
                        "image_uri": self.cloud.job_image,
                        "command": spec.command,
                        "env": variables,
                    },
                }
            ],
            "scheduling": {
                "timeout": {"seconds": spec.timeout},
                "strategy": "SPOT" if spec.spot else "STANDARD",
                "disable_retries": True,
            },
            "service_account": self.cloud.service_account,
        }

    @cached_property
    def jobs(self) -> Any:
        """Return the client of jobs."""
        return self.cloud.client("Job")


def open_compute(settings: Settings, environment: str) -> Compute:
    """Return the machines of the environment's project on Google Cloud."""
    return VertexCompute(Cloud.read(settings, environment))


def _labels(tags: dict[str, str]) -> dict[str, str]:
    """Return tags as Google Cloud takes them: 63 lower-case letters, digits, - and _."""
    return {
        LABEL.sub("-", key.lower())[:63]: LABEL.sub("-", value.lower())[:63]
        for key, value in tags.items()
    }
