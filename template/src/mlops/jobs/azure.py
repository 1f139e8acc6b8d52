"""Jobs of Azure ML: on a compute cluster (cloud.compute), or on serverless compute.

Spot is asked for on serverless compute; a cluster has been made with it or without.
"""

import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO

from .. import project
from ..cloud.azure import Cloud
from ..settings import Settings
from .base import Compute, Spec, Status

STATUS: dict[str, Status] = {
    "Running": "running",
    "Finalizing": "running",
    "CancelRequested": "running",
    "NotResponding": "running",
    "Completed": "succeeded",
    "Failed": "failed",
    "Canceled": "stopped",
}
LOG = "user_logs/std_log.txt"  # where Azure ML writes what the command prints


class AzureCompute:
    """The workspace's jobs. A job's name is its id; its history stays, and costs nothing."""

    def __init__(self, settings: Settings, environment: str) -> None:
        self.cloud = Cloud.read(settings, environment)

    def submit(self, spec: Spec) -> str:
        """Start the job, unless there is one of its name."""
        from azure.ai.ml import command
        from azure.ai.ml.entities import Environment, ManagedIdentityConfiguration

        with self.cloud.asked():
            if self.cloud.find(lambda: self.cloud.ml.jobs.get(spec.name)):
                return spec.name
            job = command(
                name=spec.name,
                experiment_name=project.NAME,
                command=shlex.join(spec.command),
                environment=Environment(image=self.cloud.job_image),
                environment_variables=spec.variables,
                compute=self.cloud.compute or None,
                identity=ManagedIdentityConfiguration(),
                timeout=spec.timeout,
                tags=spec.tags,
            )
            if not self.cloud.compute:
                job.set_resources(instance_type=self.cloud.machine, instance_count=1)
                job.set_queue_settings(job_tier="spot" if spec.spot else "standard")
            self.cloud.ml.jobs.create_or_update(job)
        return spec.name

    def status(self, job: str) -> Status:
        """Return how the job stands."""
        with self.cloud.asked():
            return STATUS.get(self.cloud.ml.jobs.get(job).status, "waiting")

    def log(self, job: str) -> Iterator[str]:
        """Yield the lines of the job's log, which lies in the workspace's storage."""
        from azure.storage.blob import BlobClient

        with self.cloud.asked():
            # azureml://datastores/<datastore>/<path>
            output = self.cloud.ml.jobs.get(job).outputs["default"].path
            name, _, path = output.rpartition("datastores/")[2].partition("/")
            store = self.cloud.ml.datastores.get(name)
            account = f"{store.protocol}://{store.account_name}.blob.{store.endpoint}"
            blob = BlobClient(
                account,
                store.container_name,
                f"{path.rstrip('/')}/{LOG}",
                credential=self.cloud.credential,
            )
        content = self.cloud.find(lambda: blob.download_blob().readall()) or b""  # none as yet
        yield from content.decode(errors="replace").splitlines()

    def why(self, job: str) -> str:
        """Return what Azure says of the job's end; only the stream of an ended job tells it."""
        from azure.ai.ml.exceptions import JobException

        with self.cloud.asked():
            status = self.cloud.ml.jobs.get(job).status
            if status == "Failed":
                try:
                    with redirect_stdout(StringIO()):
                        self.cloud.ml.jobs.stream(job)
                except JobException as error:
                    return str(error)
        return str(status)

    def stop(self, job: str) -> None:
        """Cancel the job and wait for its end, unless it has ended."""
        if self.status(job) in ("waiting", "running"):
            with self.cloud.asked():
                self.cloud.ml.jobs.begin_cancel(job).result()

    def remove(self, job: str) -> None:
        """Leave no machine running: all else is history."""
        self.stop(job)


def open_compute(settings: Settings, environment: str) -> Compute:
    """Return the environment's machines."""
    return AzureCompute(settings, environment)
