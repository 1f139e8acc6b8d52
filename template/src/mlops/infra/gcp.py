"""Terraform at Google Cloud: its state in a bucket, its login by workload identity federation."""

import json
from pathlib import Path
from typing import Literal

from .. import project
from ..cloud.gcp import Cloud
from ..errors import MlopsError

GOOGLE = "https://iam.googleapis.com"


def backend(cloud: Cloud) -> dict[str, str]:
    """Return where the environment's state lies, as `terraform init -backend-config` takes it."""
    return {"bucket": f"{cloud.bucket}-state"}


def audience(cloud: Cloud) -> str:
    """Return whom the identity token is for: the provider that vouches for the job."""
    azure_devops = project.CI == "azure-devops"  # whose tokens are all for this one
    return "api://AzureADTokenExchange" if azure_devops else f"{GOOGLE}/{_provider(cloud)}"


def login(
    cloud: Cloud, environment: str, identity: Literal["plan", "apply"], token: Path
) -> dict[str, str]:
    """Return the variables by which Terraform acts as an identity of the environment.

    Beside the token a file is written that says how it is exchanged. No secret is in it.

    Raises:
        MlopsError: ``cloud.provider`` is missing.
    """
    provider = _provider(cloud)
    account = f"{provider.split('/')[5]}-{identity}@{cloud.project}.iam.gserviceaccount.com"
    accounts = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
    file = token.with_name(f"{environment}-{identity}.json")
    file.write_text(
        json.dumps(
            {
                "type": "external_account",
                "audience": f"{GOOGLE}/{provider}".removeprefix("https:"),
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": "https://sts.googleapis.com/v1/token",
                "credential_source": {"file": str(token)},
                "service_account_impersonation_url": f"{accounts}/{account}:generateAccessToken",
            }
        ),
        encoding="utf-8",
    )
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}


def _provider(cloud: Cloud) -> str:
    if not cloud.provider:
        raise MlopsError(
            "cloud.provider is missing in environments/*.yaml: projects/NUMBER/locations/global/"
            "workloadIdentityPools/POOL/providers/ID, NUMBER being the project's."
        )
    return cloud.provider
