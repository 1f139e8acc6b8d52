"""Google Cloud: whose login it is, what it may do in the project, the month's budget."""

from .. import project
from ..cloud.base import CloudError
from ..cloud.gcp import Cloud
from . import Finding, fault, lacks, ok

NEEDED = [  # for a job, a version and a release
    f"aiplatform.{one}"
    for one in ("customJobs.create", "models.upload", "endpoints.create", "endpoints.deploy")
]
ACT_AS = "iam.serviceAccounts.actAs"
RIGHTS = {"budget": "Billing Account Viewer on the billing account"}  # what it takes to look


def login(cloud: Cloud, environment: str) -> Finding:
    """Is somebody logged in who sees the project, and is it the one that vouches for jobs?"""
    number = cloud.request("GET", _project(cloud))["name"]
    if cloud.provider and not cloud.provider.startswith(f"{number}/"):
        fix = f"Correct its number in environments/{environment}.yaml."
        return fault(f"{cloud.project} is {number}, cloud.provider is {cloud.provider}", fix)
    who = getattr(cloud.credentials, "service_account_email", None) or "a login without an account"
    return ok(f"{who} sees the project {cloud.project}")


def roles(cloud: Cloud, environment: str) -> Finding:
    """May this login do what a release does, and start what runs as the service account?"""
    account = cloud.service_account
    if missing := _lacking(cloud, _project(cloud), NEEDED):
        fix = "Give it the pipeline's role (infra/gcp/modules/identity), or release from there."
        return fault(f"this login lacks {', '.join(missing)} in {cloud.project}", fix)
    if not account:
        return ok("jobs, versions, releases; servers run as Vertex AI's own account")
    try:
        url = f"{cloud.address('iam')}/v1/projects/-/serviceAccounts/{account}"
        if _lacking(cloud, url, [ACT_AS]):
            return fault(f"this login may not act as {account}", f"Give it {ACT_AS} there.")
    except CloudError as error:
        if _status(error.__cause__) == 404:
            return lacks(f"account {account} (cloud.service_account)", environment)
        raise
    return ok(f"jobs, versions, releases, as {account}")


def budget(cloud: Cloud, environment: str) -> Finding:
    """Is there the budget that infra/ makes? What is spent its alerts alone are told."""
    url = f"{cloud.address('cloudbilling')}/v1/projects/{cloud.project}/billingInfo"
    account = cloud.request("GET", url).get("billingAccountName")
    if not account:
        return fault(f"{cloud.project} has no billing account", "Link one to it.")
    name = f"{project.NAME}-{environment}"
    url, token = f"{cloud.address('billingbudgets')}/v1/{account}/budgets", ""
    while True:
        page = cloud.request("GET", url, params={"pageToken": token})
        if any(one.get("displayName") == name for one in page.get("budgets", [])):
            return ok(f"{name}, of {account}")
        if not (token := page.get("nextPageToken", "")):
            return lacks(f"budget {name} in {account}", environment)


def denied(error: BaseException | None) -> bool:
    """Tell whether a look was refused."""
    return _status(error) == 403


def _project(cloud: Cloud) -> str:
    return f"{cloud.address('cloudresourcemanager')}/v3/projects/{cloud.project}"


def _lacking(cloud: Cloud, url: str, rights: list[str]) -> list[str]:
    """Return the rights that whoever asks has not; to ask takes none."""
    answer = cloud.request("POST", f"{url}:testIamPermissions", json={"permissions": rights})
    return [one for one in rights if one not in answer.get("permissions", [])]


def _status(error: BaseException | None) -> int:
    return int(getattr(error, "code", None) or 0)
