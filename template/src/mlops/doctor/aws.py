"""AWS: whose login it is, the role that endpoints and jobs run as, the month's budget."""

import json
import re

from .. import project
from ..cloud.aws import Cloud
from ..cloud.base import CloudError
from . import Finding, fault, lacks, ok

SERVICE = "sagemaker.amazonaws.com"
# What it takes to look.
RIGHTS = {
    "roles": "iam:GetRole and iam:SimulatePrincipalPolicy",
    "budget": "budgets:ViewBudget",
}


def login(cloud: Cloud, environment: str) -> Finding:
    """Is somebody of the account logged in? The cloud's client refuses another account's."""
    return ok(f"{_caller(cloud)}, {cloud.region}")


def roles(cloud: Cloud, environment: str) -> Finding:
    """Is the execution role there, does it trust SageMaker, and may this login pass it?"""
    iam = cloud.client("iam")
    try:
        role = iam.get_role(RoleName=cloud.role.rpartition("/")[2])["Role"]
    except CloudError as error:
        if _code(error.__cause__) == "NoSuchEntity":
            return lacks(f"role {cloud.role} (cloud.role)", environment)
        raise
    if SERVICE not in json.dumps(role["AssumeRolePolicyDocument"]):
        return fault(f"{cloud.role} does not trust SageMaker", f"Let {SERVICE} assume it.")
    # A session's ARN names its role without the path; of a person's SSO role nothing can be told.
    session = r"(arn:[^:]+):sts:(:\d+:)assumed-role/([^/]+)/.*"
    who = re.sub(session, r"\1:iam:\2role/\3", _caller(cloud))
    service = {"ContextKeyName": "iam:PassedToService", "ContextKeyType": "string"}
    told = iam.simulate_principal_policy(
        PolicySourceArn=who,
        ActionNames=["iam:PassRole"],
        ResourceArns=[cloud.role],
        ContextEntries=[{**service, "ContextKeyValues": [SERVICE]}],
    )["EvaluationResults"][0]["EvalDecision"]
    if told != "allowed":
        fix = f"Allow iam:PassRole on it to {SERVICE}, or release from the pipeline."
        return fault(f"{who} may not pass {cloud.role}", fix)
    return ok(f"{who} may pass {cloud.role}")


def budget(cloud: Cloud, environment: str) -> Finding:
    """Is there the budget that infra/ makes?"""
    name = f"{project.NAME}-{environment}"
    listed = cloud.client("budgets").pages("describe_budgets", "Budgets", AccountId=cloud.account)
    found = next((one for one in listed if one["BudgetName"] == name), None)
    if found is None:
        return lacks(f"budget {name}", environment)
    limit, spent = found["BudgetLimit"], found["CalculatedSpend"]["ActualSpend"]
    return ok(f"{name}: {spent['Amount']} of {limit['Amount']} {limit['Unit']} this month")


def denied(error: BaseException | None) -> bool:
    """Tell whether a look was refused; a session's role that IAM can't find is none, either."""
    return _code(error) in ("AccessDenied", "AccessDeniedException", "NoSuchEntity")


def _caller(cloud: Cloud) -> str:
    return str(cloud.client("sts").get_caller_identity()["Arn"])


def _code(error: BaseException | None) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
