"""Training jobs of SageMaker: a container on a machine that is there for as long as it runs."""

import time
from collections.abc import Iterator

from .. import project
from ..cloud import open_cloud
from ..cloud.aws import Cloud, MissingError
from ..errors import MlopsError
from ..settings import Settings
from .base import Compute, Spec, Status

LOGS = "/aws/sagemaker/TrainingJobs"
DISK = 30  # GB
POLL = 5.0  # seconds between two looks at a job that is to end
STATUSES: dict[str, Status] = {
    "Completed": "succeeded",
    "Failed": "failed",
    "Stopping": "running",
    "Stopped": "stopped",
    "Deleting": "stopped",
}
RUNNING = {"Training", "Uploading", "Updating"}
OVERTIME = {"MaxRuntimeExceeded", "MaxWaitTimeExceeded"}


class SagemakerCompute:
    """See :class:`~.base.Compute`. A job's id is its name."""

    def __init__(self, cloud: Cloud, environment: str) -> None:
        self.cloud, self.environment, self.poll = cloud, environment, POLL
        self.sagemaker, self.logs = cloud.client("sagemaker"), cloud.client("logs")

    def submit(self, spec: Spec) -> str:
        """Start a job; one of the same name is left as it is."""
        if not self.cloud.job_image:
            raise MlopsError(
                f"environments/{self.environment}.yaml: cloud.job_image is missing, the image that "
                "jobs run in: `make image-job`."
            )
        try:
            self.sagemaker.describe_training_job(TrainingJobName=spec.name)
            return spec.name
        except MissingError:
            pass
        limit = {"MaxRuntimeInSeconds": spec.timeout}
        if spec.spot:  # the wait for spare capacity counts as well
            limit["MaxWaitTimeInSeconds"] = spec.timeout
        self.sagemaker.create_training_job(
            TrainingJobName=spec.name,
            AlgorithmSpecification={
                "TrainingImage": self.cloud.job_image,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": spec.command,
            },
            RoleArn=self.cloud.role,
            OutputDataConfig={"S3OutputPath": f"s3://{self.cloud.bucket}/{project.NAME}/jobs"},
            ResourceConfig={
                "InstanceType": self.cloud.machine,
                "InstanceCount": 1,
                "VolumeSizeInGB": DISK,
            },
            StoppingCondition=limit,
            EnableManagedSpotTraining=spec.spot,
            Environment=spec.variables,
            Tags=[{"Key": key, "Value": value} for key, value in spec.tags.items()],
        )
        return spec.name

    def status(self, job: str) -> Status:
        """Return how a job stands; one that ran too long has failed."""
        found = self.sagemaker.describe_training_job(TrainingJobName=job)
        if found["SecondaryStatus"] in OVERTIME:
            return "failed"
        if found["TrainingJobStatus"] == "InProgress":
            return "running" if found["SecondaryStatus"] in RUNNING else "waiting"
        return STATUSES[found["TrainingJobStatus"]]

    def log(self, job: str) -> Iterator[str]:
        """Yield what a job has printed so far."""
        try:
            for event in self.logs.pages(
                "filter_log_events", "events", logGroupName=LOGS, logStreamNamePrefix=f"{job}/"
            ):
                yield event["message"]
        except MissingError:
            return  # it has printed nothing yet

    def why(self, job: str) -> str:
        """Return what SageMaker says of a job's end."""
        found = self.sagemaker.describe_training_job(TrainingJobName=job)
        told = [one.get("StatusMessage", "") for one in found.get("SecondaryStatusTransitions", [])]
        last = told[-1] if told else ""
        return found.get("FailureReason") or f"{found['SecondaryStatus']}: {last}".rstrip(": ")

    def stop(self, job: str) -> None:
        """End a job and wait until it has; one that has ended is left alone."""
        if self.status(job) not in ("waiting", "running"):
            return
        self.sagemaker.stop_training_job(TrainingJobName=job)
        while self.status(job) in ("waiting", "running"):
            time.sleep(self.poll)

    def remove(self, job: str) -> None:
        """End a job and delete it; its log stays."""
        try:
            self.stop(job)
            self.sagemaker.delete_training_job(TrainingJobName=job)
        except MissingError:
            return


def open_compute(settings: Settings, environment: str) -> Compute:
    """Return the machines of an environment's account."""
    return SagemakerCompute(open_cloud(settings, environment), environment)
