"""Terraform at Azure: its state in a storage account, its login by workload identity federation."""

import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ..cloud.azure import Cloud
from ..errors import MlopsError


def backend(cloud: Cloud) -> dict[str, str]:
    """Return where the environment's state lies, as `terraform init -backend-config` takes it."""
    account, _, _ = (urlsplit(cloud.container).hostname or "").partition(".")
    return {"storage_account_name": f"{account}state"}


def audience(cloud: Cloud) -> str:
    """Return whom the job's identity token is for; Azure takes no other."""
    return "api://AzureADTokenExchange"


def login(
    cloud: Cloud, environment: str, identity: Literal["plan", "apply"], token: Path
) -> dict[str, str]:
    """Return the variables by which Terraform acts as an identity of the environment.

    Raises:
        MlopsError: the identity's client id, or the tenant, is missing.
    """
    client = cloud.plan_client if identity == "plan" else cloud.apply_client
    if not client:
        raise MlopsError(
            f"environments/{environment}.yaml: cloud.{identity}_client is missing. "
            f"`make infra-bootstrap ENV={environment}` prints it."
        )
    tenant = os.environ.get("AZURE_TENANT_ID")
    if not tenant:
        raise MlopsError(
            f"The variable AZURE_TENANT_ID is missing in {environment}: the directory of "
            "cloud.subscription, which `make infra-bootstrap` prints."
        )
    return {
        "ARM_USE_OIDC": "true",
        "ARM_OIDC_TOKEN_FILE_PATH": str(token.absolute()),
        "ARM_CLIENT_ID": client,
        "ARM_TENANT_ID": tenant,
        "ARM_SUBSCRIPTION_ID": cloud.subscription,
    }
