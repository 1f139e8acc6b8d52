"""GitHub, and GitHub Enterprise: docs.github.com/rest, version 2022-11-28."""

from typing import Any

from factory.forges.base import Checks, DeniedError, Request, combined
from factory.forges.client import Client, Platform, RestForge
from factory.forges.remote import Remote, own_api, quoted

PLATFORM = Platform(
    name="GitHub",
    variable="GITHUB_TOKEN",
    rights="contents, pull requests and workflows to write; actions (or checks) and commit "
    "statuses to read",
    longest=65_536,
)
_GREEN = ("success", "neutral", "skipped")


class GitHub(RestForge):
    """Pull requests of one repository."""

    def __init__(self, remote: Remote) -> None:
        token = PLATFORM.token()
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._owner, self._repository = remote.name[-2:]
        root = f"{_root(remote)}/repos/{quoted(self._owner, self._repository)}"
        super().__init__(Client(PLATFORM, root, headers, token))

    def look(self, number: int) -> Request:
        """Return a pull request as it is now."""
        pull = self.api("GET", f"/pulls/{number}")
        if pull["state"] == "closed":
            return _request(pull, "none")
        if pull["mergeable"] is False:  # None: not known yet
            return _request(pull, "red")
        commit = f"/commits/{pull['head']['sha']}"
        try:
            checks = self._suites(commit)
        except DeniedError:  # a fine-grained token can't be given the right to read checks
            checks = self._runs(pull["head"]["sha"])
        status = self.api("GET", f"{commit}/status", per_page=1)
        if status["total_count"]:
            checks.append(_state(status["state"]))
        return _request(pull, combined(checks))

    def _suites(self, commit: str) -> list[Checks]:
        """Return the checks of every app that checks this commit.

        A suite is asked for, and not its runs: a job that waits for another is no run yet. Every
        app has a suite, also one that never checks; that of Actions exists for a workflow alone.
        """
        found = self.api("GET", f"{commit}/check-suites", per_page=100)["check_suites"]
        return [
            _state(suite["conclusion"])
            for suite in found
            if suite["latest_check_runs_count"] or suite["app"]["slug"] == "github-actions"
        ]

    def _runs(self, commit: str) -> list[Checks]:
        """Return how each workflow's newest run goes."""
        found = self.api("GET", "/actions/runs", head_sha=commit, per_page=100)["workflow_runs"]
        newest = {(run["workflow_id"], run["event"]): run for run in sorted(found, key=_id)}
        return [_state(run["conclusion"]) for run in newest.values()]

    def _number(self, branch: str) -> int | None:
        query = {"state": "open", "head": f"{self._owner}:{branch}", "per_page": 100}
        full = f"{self._owner}/{self._repository}".lower()
        for pull in self.api("GET", "/pulls", **query):
            source = pull["head"]["repo"]  # None: a fork that was deleted
            if source and source["full_name"].lower() == full and pull["head"]["ref"] == branch:
                return int(pull["number"])
        return None

    def _open(self, branch: str, base: str, title: str, body: str) -> Request:
        fields = {"title": title, "body": body, "head": branch, "base": base}
        return _request(self.api("POST", "/pulls", fields), "pending")

    def _refresh(self, number: int, title: str, body: str) -> Request:
        pull = self.api("PATCH", f"/pulls/{number}", {"title": title, "body": body})
        return _request(pull, "pending")


def _root(remote: Remote) -> str:
    """Return where the API is: github.com has a host for it, so has each tenant of ghe.com."""
    if own := own_api(remote, "github"):
        return own
    if remote.host in ("github.com", "ssh.github.com"):
        return "https://api.github.com"
    if remote.host.endswith(".ghe.com"):
        return f"https://api.{remote.host}"
    return f"{remote.site}/api/v3"


def _request(pull: dict[str, Any], checks: Checks) -> Request:
    closed = "merged" if pull.get("merged_at") else "closed"
    state: Any = "open" if pull["state"] == "open" else closed
    return Request(pull["number"], pull["html_url"], state, checks)


def _state(conclusion: str | None) -> Checks:
    if conclusion in (None, "pending"):
        return "pending"
    return "green" if conclusion in _GREEN else "red"


def _id(run: dict[str, Any]) -> int:
    return int(run["id"])
