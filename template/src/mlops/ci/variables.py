"""What jobs read of the platform's variables and secrets: the one list of them."""

from typing import Literal, NamedTuple

from .. import project

Job = Literal["train", "register", "plan", "release"]


class Variable(NamedTuple):
    """A variable of the platform: whether it is a secret, whose jobs fail without it, why it is."""

    secret: bool
    needed: tuple[Job, ...]
    help: str


ALL: tuple[Job, ...] = ("train", "register", "plan", "release")
VARIABLES = {
    "MLOPS_SIGNING_KEY": Variable(True, ALL, "signs gate records: the same for the whole team"),
    "MLOPS_TRACKING_URI": Variable(False, ALL, "the MLflow server of runs and versions"),
    "MLOPS_API_KEYS": Variable(True, ("release",), "who may ask a service: keys, by commas"),
    "MLOPS_DEPLOYMENTS": Variable(
        False,
        ("release",),
        "folder outside the checkout, on a runner that stays: what stands where",
    ),
    "MLOPS_RUNNER": Variable(False, (), "label of the runner that releases; else the platform's"),
    "MLOPS_NOTIFY": Variable(True, (), "who hears of failures: apprise URLs, by commas"),
    "IMAGE": Variable(False, (), "repository of the image, such as ghcr.io/team/name"),
    "COSIGN_KEY": Variable(True, (), "signs images where the platform has no keyless identity"),
    "AWS_DEFAULT_REGION": Variable(False, ALL, "where the role works, such as eu-west-1"),
    "AWS_ROLE_ARN": Variable(False, ALL, "the role of jobs on AWS, which trusts this platform"),
    "AZURE_CLIENT_ID": Variable(False, ALL, "the identity of jobs, which trusts this platform"),
    "AZURE_TENANT_ID": Variable(False, ALL, "the directory of that identity"),
    "GCP_PROVIDER": Variable(False, ALL, "full name of the provider of a workload identity pool"),
    "GCP_SERVICE_ACCOUNT": Variable(False, ALL, "the e-mail of whom jobs act as"),
    "GITLAB_TOKEN": Variable(
        True, ("register",), "a project token (Maintainer): pushes, proposes, starts; protected"
    ),
    "GITLAB_COMMENT_TOKEN": Variable(True, (), "a project token (Reporter) for the one comment"),
}


# Jobs log in to these without a key, by what these variables name.
CLOUDS = {"AWS": "aws", "AZURE": "azure", "GCP": "gcp"}


def asked(name: str) -> bool:
    """Tell whether the answers of this project ask for a variable at all."""
    cloud = CLOUDS.get(name.partition("_")[0])
    if cloud:  # on Azure Pipelines a service connection knows Azure's, and AWS has no such login
        return cloud == project.PROVIDER and (project.CI != "azure-devops" or cloud == "gcp")
    if name == "MLOPS_TRACKING_URI":
        return project.REGISTRY == "mlflow"
    if name in ("MLOPS_API_KEYS", "MLOPS_DEPLOYMENTS", "IMAGE", "COSIGN_KEY"):
        return "online" in project.SERVING
    return not name.startswith("GITLAB_") or project.CI == "gitlab"
