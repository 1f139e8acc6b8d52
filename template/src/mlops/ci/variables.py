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
    "MLOPS_SIGNING_KEY": Variable(
        True,
        ("train", "register", "plan", "release"),
        "signs gate records: the same for the whole team",
    ),
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
    "GITLAB_TOKEN": Variable(
        True, ("register",), "a project token (Maintainer): pushes, proposes, starts; protected"
    ),
    "GITLAB_COMMENT_TOKEN": Variable(True, (), "a project token (Reporter) for the one comment"),
}


def asked(name: str) -> bool:
    """Tell whether the answers of this project ask for a variable at all."""
    if name == "MLOPS_TRACKING_URI":
        return project.REGISTRY == "mlflow"
    if name in ("MLOPS_API_KEYS", "MLOPS_DEPLOYMENTS", "IMAGE", "COSIGN_KEY"):
        return "online" in project.SERVING
    return not name.startswith("GITLAB_") or project.CI == "gitlab"
