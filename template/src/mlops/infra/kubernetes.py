"""A cluster, to Terraform: its state is a Secret, and who asks is who the kubeconfig says."""

import os
from pathlib import Path
from typing import Literal

from ..cloud.kubernetes import Cloud


def backend(cloud: Cloud) -> dict[str, str]:
    """Return where the state lies: in the namespace that infra/kubernetes/bootstrap makes."""
    where = {"namespace": f"{cloud.namespace}-state"}
    if _inside(cloud):
        return where | {"in_cluster_config": "true"}
    return where | ({"config_context": cloud.context} if cloud.context else {})


def audience(cloud: Cloud) -> str:
    """Return "": the kubeconfig has its own way to a token."""
    return ""


def login(
    cloud: Cloud, environment: str, identity: Literal["plan", "apply"], token: Path
) -> dict[str, str]:
    """Return where the kubeconfig is: Terraform does not ask KUBECONFIG, as all others do.

    Which rights `plan` and `apply` have, the cluster knows by who asks.
    """
    if _inside(cloud):
        return {}
    return {"KUBE_CONFIG_PATHS": os.environ.get("KUBECONFIG", str(Path.home() / ".kube/config"))}


def _inside(cloud: Cloud) -> bool:
    """Tell whether this is a pod, with an account of its own: see Cloud.client."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and not cloud.context
