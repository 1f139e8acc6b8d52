"""AWS: where an environment's state lies, and whom Terraform acts as in a pipeline."""

from pathlib import Path
from typing import Literal

from .. import project
from ..cloud.aws import Cloud


def backend(cloud: Cloud) -> dict[str, str]:
    """Return where the environment's state lies: bootstrap/ made that bucket."""
    return {"bucket": f"{cloud.bucket}-state", "region": cloud.region}


def audience(cloud: Cloud) -> str:
    """Return whom the identity token is for, as the account's issuer is told by infra/."""
    azure_devops = project.CI == "azure-devops"  # whose tokens are all for this one
    return "api://AzureADTokenExchange" if azure_devops else "sts.amazonaws.com"


def login(
    cloud: Cloud, environment: str, identity: Literal["plan", "apply"], token: Path
) -> dict[str, str]:
    """Return variables by which the AWS SDK takes up the identity's role with the token.

    The empty ones are of another login of the job, which would come first.
    """
    name = f"{project.NAME}-{environment}-{identity}"
    return {
        "AWS_ROLE_ARN": f"arn:aws:iam::{cloud.account}:role/{name}",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ROLE_SESSION_NAME": name[:64],  # as long as it may be
        "AWS_REGION": cloud.region,
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_SESSION_TOKEN": "",
        "AWS_PROFILE": "",
    }
