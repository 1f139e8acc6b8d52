"""Azure DevOps, Services and Server: learn.microsoft.com/rest/api/azure/devops, version 7.1."""

import base64
from typing import Any
from urllib.parse import urlsplit

from factory.forges.base import Checks, ForgeError, Request, State, combined
from factory.forges.client import Client, Platform, RestForge
from factory.forges.remote import Remote, own_api, quoted

PLATFORM = Platform(
    name="Azure DevOps",
    variable="AZURE_DEVOPS_TOKEN",
    rights="the scopes Code (read & write) and Code (status)",
    longest=4_000,
)
_VERSION = "7.1"
_STATES: dict[str, State] = {"completed": "merged", "abandoned": "closed"}
# The policies that are checks. The others wait for people: reviewers, work items, comments.
_BUILD = "0609b952-1397-4640-95ec-e00a01b2c241"
_STATUS = "cbdc66da-9728-4af8-aada-9a5a32e4a226"
_EVALUATIONS: dict[str, Checks] = {"approved": "green", "rejected": "red", "broken": "red"}
_STATUSES: dict[str, Checks] = {"succeeded": "green", "failed": "red", "error": "red"}
_UNMERGEABLE = ("conflicts", "failure", "rejectedByPolicy")


class AzureDevOps(RestForge):
    """Pull requests of one repository."""

    def __init__(self, remote: Remote) -> None:
        token = PLATFORM.token()
        collection, self._project, self._repository = _place(remote)
        # A pipeline's and Entra ID's tokens are JWTs; a personal one is a password.
        basic = f"Basic {base64.b64encode(f':{token}'.encode()).decode()}"
        headers = {"Authorization": f"Bearer {token}" if token.count(".") == 2 else basic}
        self._web = f"{collection}/{quoted(self._project)}"
        super().__init__(Client(PLATFORM, f"{self._web}/_apis", headers, token))

    def look(self, number: int) -> Request:
        """Return a pull request as it is now."""
        pull = self._call("GET", f"{self._git}/pullrequests/{number}")
        request = self._request(pull, "none")
        if request.state != "open":
            return request
        if pull["mergeStatus"] in _UNMERGEABLE:
            return self._request(pull, "red")
        commit = pull["lastMergeSourceCommit"]["commitId"]
        return self._request(pull, combined([*self._policies(pull), *self._statuses(commit)]))

    def _policies(self, pull: dict[str, Any]) -> list[Checks]:
        """Return the builds and statuses that the branch's policies ask for."""
        project = pull["repository"]["project"]["id"]
        found = self._call(
            "GET",
            "/policy/evaluations",
            artifactId=f"vstfs:///CodeReview/CodeReviewId/{project}/{pull['pullRequestId']}",
            **{"api-version": f"{_VERSION}-preview.1"},
        )["value"]
        return [
            _evaluation(each)
            for each in found
            if each["configuration"]["type"]["id"] in (_BUILD, _STATUS)
            and each["configuration"]["isEnabled"]
            and each["status"] != "notApplicable"
        ]

    def _statuses(self, commit: str) -> list[Checks]:
        """Return what pipelines and others say of the branch's commit."""
        path = f"{self._git}/commits/{commit}/statuses"
        found = self._call("GET", path, latestOnly="true")["value"]
        return [
            _STATUSES.get(each["state"], "pending")
            for each in found
            if each["state"] != "notApplicable"
        ]

    def _number(self, branch: str) -> int | None:
        query = {
            "searchCriteria.sourceRefName": f"refs/heads/{branch}",
            "searchCriteria.status": "active",
        }
        for pull in self._call("GET", f"{self._git}/pullrequests", **query)["value"]:
            if not pull.get("forkSource"):
                return int(pull["pullRequestId"])
        return None

    def _open(self, branch: str, base: str, title: str, body: str) -> Request:
        ends = {"sourceRefName": f"refs/heads/{branch}", "targetRefName": f"refs/heads/{base}"}
        fields = ends | {"title": title, "description": body}
        return self._request(self._call("POST", f"{self._git}/pullrequests", fields), "pending")

    def _refresh(self, number: int, title: str, body: str) -> Request:
        fields = {"title": title, "description": body}
        pull = self._call("PATCH", f"{self._git}/pullrequests/{number}", fields)
        return self._request(pull, "pending")

    @property
    def _git(self) -> str:
        return f"/git/repositories/{quoted(self._repository)}"

    def _call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self.api(method, path, body, **{"api-version": _VERSION} | query)

    def _request(self, pull: dict[str, Any], checks: Checks) -> Request:
        number = pull["pullRequestId"]
        url = f"{self._web}/_git/{quoted(self._repository)}/pullrequest/{number}"
        return Request(number, url, _STATES.get(pull["status"], "open"), checks)


def _place(remote: Remote) -> tuple[str, str, str]:
    """Return the collection's address, the project and the repository.

    Raises:
        ForgeError: The path is none of a repository's.
    """
    parts = remote.path
    if parts[0] == "v3" and len(parts) == 4 and "_git" not in parts:  # ssh to Services
        return f"https://dev.azure.com/{quoted(parts[1])}", parts[2], parts[3]
    if "_git" not in parts[:-1]:
        raise ForgeError(
            f"{remote.host}/{'/'.join(parts)} is no repository of Azure DevOps: "
            "its path is like organisation/project/_git/repository"
        )
    at = parts.index("_git")
    before, repository = parts[:at], parts[at + 1]
    if remote.host.endswith(".visualstudio.com"):  # the organisation is the host
        known = 1 if before[:1] == ("DefaultCollection",) else 0
    elif own := own_api(remote, "azure-devops"):
        known = len([part for part in urlsplit(own).path.split("/") if part])
    else:  # a path before the collection is Server's own
        known = max(1, len(before) - 1)
    collection = "/".join((remote.site, *(quoted(part) for part in before[:known])))
    # A project's first repository may be named without it.
    return collection, before[known] if len(before) > known else repository, repository


def _evaluation(policy: dict[str, Any]) -> Checks:
    if (policy.get("context") or {}).get("isExpired"):  # it was approved for an older commit
        return "pending"
    return _EVALUATIONS.get(policy["status"], "pending")
