"""GitLab, also on a host of one's own: docs.gitlab.com/api/rest, version 4."""

from typing import Any
from urllib.parse import urlsplit

from factory.forges.base import Checks, Request, State
from factory.forges.client import Client, Platform, RestForge
from factory.forges.remote import Remote, own_api, quoted

PLATFORM = Platform(
    name="GitLab",
    variable="GITLAB_TOKEN",
    rights="the scope api and the role Developer (a project or group access token)",
    longest=1_000_000,
)
_STATES: dict[str, State] = {"merged": "merged", "closed": "closed"}  # locked: being merged
_CHECKS: dict[str, Checks] = {
    "success": "green",
    "failed": "red",
    "canceled": "red",
    "skipped": "none",
}  # else it goes on, or waits for a person


class GitLab(RestForge):
    """Merge requests of one project."""

    def __init__(self, remote: Remote) -> None:
        token = PLATFORM.token()
        root, path = _root(remote)
        root += f"/projects/{quoted('/'.join(path))}"
        super().__init__(Client(PLATFORM, root, {"PRIVATE-TOKEN": token}, token))

    def look(self, number: int) -> Request:
        """Return a merge request as it is now."""
        merge = self.api("GET", f"/merge_requests/{number}")
        return _request(merge, _checks(merge))

    def _number(self, branch: str) -> int | None:
        query = {"state": "opened", "source_branch": branch, "per_page": 100}
        for merge in self.api("GET", "/merge_requests", **query):
            if merge["source_project_id"] == merge["target_project_id"]:  # else a fork's
                return int(merge["iid"])
        return None

    def _open(self, branch: str, base: str, title: str, body: str) -> Request:
        ends = {"source_branch": branch, "target_branch": base}
        fields = ends | {"title": title, "description": body}
        return _request(self.api("POST", "/merge_requests", fields), "pending")

    def _refresh(self, number: int, title: str, body: str) -> Request:
        fields = {"title": title, "description": body}
        return _request(self.api("PUT", f"/merge_requests/{number}", fields), "pending")


def _root(remote: Remote) -> tuple[str, tuple[str, ...]]:
    """Return where the API is, and the project's path: GitLab may lie below a path of its host."""
    if own := own_api(remote, "gitlab"):
        below = urlsplit(own).path.split("/")[1:-2]  # without api/v4
        return own, remote.name[len(below) :]
    site = "https://gitlab.com" if remote.host == "altssh.gitlab.com" else remote.site
    return f"{site}/api/v4", remote.name


def _request(merge: dict[str, Any], checks: Checks) -> Request:
    state = _STATES.get(merge["state"], "open")
    return Request(merge["iid"], merge["web_url"], state, checks if state == "open" else "none")


def _checks(merge: dict[str, Any]) -> Checks:
    """Return how the newest pipeline goes; one of an older commit tells nothing."""
    if merge.get("has_conflicts"):
        return "red"
    pipeline = merge.get("head_pipeline")
    if not pipeline:
        return "none"
    # A pipeline of the merged result has a commit of its own.
    if pipeline["sha"] != merge["sha"] and not pipeline["ref"].endswith("/merge"):
        return "pending"
    return _CHECKS.get(pipeline["status"], "pending")
