"""Azure: whose login it is, what it may do in the resource group, the month's budget."""

import json
from base64 import urlsafe_b64decode
from fnmatch import fnmatchcase
from typing import Any

from .. import project
from ..cloud.azure import Cloud
from ..cloud.base import CloudError
from . import Finding, fault, lacks, ok

ARM = "https://management.azure.com"
ACTIONS = [  # what a job, a version and a release write
    f"Microsoft.MachineLearningServices/workspaces/{one}/write"
    for one in ("jobs", "models/versions", "onlineEndpoints", "onlineEndpoints/deployments")
]
# What it takes to look.
RIGHTS = {
    "roles": "Microsoft.Authorization/permissions/read",
    "budget": "the role Cost Management Reader",
}


def login(cloud: Cloud, environment: str) -> Finding:
    """Is somebody logged in who sees the workspace?"""
    with cloud.asked():
        token = cloud.credential.get_token(f"{ARM}/.default").token
        cloud.ml.workspaces.get(cloud.workspace)
    told = token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(told + "=" * (-len(told) % 4)))
    who = claims.get("upn") or claims.get("appid") or claims.get("oid", "somebody")
    return ok(f"{who} of tenant {claims.get('tid')} sees the workspace {cloud.workspace}")


def roles(cloud: Cloud, environment: str) -> Finding:
    """Does this login's roles allow what a release does, and has the workspace an identity?"""
    held = _get(cloud, "Microsoft.Authorization/permissions", "2022-04-01")["value"]
    if missing := [action for action in ACTIONS if not any(_allows(one, action) for one in held)]:
        fix = "Give it AzureML Data Scientist there, or release from the pipeline."
        return fault(f"no role in {cloud.resource_group} allows {', '.join(missing)}", fix)
    with cloud.asked():
        if cloud.ml.workspaces.get(cloud.workspace).identity is None:
            return lacks(f"managed identity of the workspace {cloud.workspace}", environment)
    return ok(f"jobs, versions, releases; {cloud.workspace} has a managed identity")


def budget(cloud: Cloud, environment: str) -> Finding:
    """Is there the budget that infra/ makes?"""
    name = f"{project.NAME}-{environment}"
    try:
        found = _get(cloud, f"Microsoft.Consumption/budgets/{name}", "2023-05-01")["properties"]
    except CloudError as error:
        if "ResourceGroupNotFound" not in str(error) and _status(error.__cause__) == 404:
            return lacks(f"budget {name}", environment)
        raise
    spent = found.get("currentSpend") or {"amount": 0, "unit": ""}  # a new one has none
    return ok(f"{name}: {spent['amount']} of {found['amount']} {spent['unit']} this month")


def denied(error: BaseException | None) -> bool:
    """Tell whether a look was refused."""
    return _status(error) == 403


def _get(cloud: Cloud, what: str, version: str) -> dict[str, Any]:
    """Ask the resource manager for something of the resource group."""
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest

    group = f"{ARM}/subscriptions/{cloud.subscription}/resourceGroups/{cloud.resource_group}"
    asked = HttpRequest("GET", f"{group}/providers/{what}", params={"api-version": version})
    login = BearerTokenCredentialPolicy(cloud.credential, f"{ARM}/.default")
    with cloud.asked(), PipelineClient(ARM, policies=[login]) as client:
        answer = client.send_request(asked)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def _allows(role: dict[str, list[str]], action: str) -> bool:
    """Tell whether a role allows an action: in what it has, and not in what it takes out again."""
    has, hasnt = (
        any(fnmatchcase(action.lower(), one.lower()) for one in role.get(kind, []))
        for kind in ("actions", "notActions")
    )
    return has and not hasnt


def _status(error: BaseException | None) -> int:
    return getattr(error, "status_code", None) or 0
