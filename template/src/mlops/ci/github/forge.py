"""GitHub, as a job of Actions sees it: docs.github.com/rest."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from ..forge import BOTS, MARKER, Client, Forge, basic, cut, git_header, once, secret, variable

TOKEN = "GITHUB_TOKEN"  # noqa: S105
LIMIT = 65_536  # characters of a comment, an issue or a pull request


def open_forge() -> Forge:
    """Return GitHub."""
    return GitHubForge()


class GitHubForge:
    """Pull requests, issues and workflows of one repository."""

    @cached_property
    def _api(self) -> Client:
        root = f"{variable('GITHUB_API_URL')}/repos/{variable('GITHUB_REPOSITORY')}"
        return Client(root, TOKEN, "Authorization", "Bearer {}")

    @cached_property
    def _event(self) -> dict[str, Any]:
        path = Path(os.environ.get("GITHUB_EVENT_PATH", ""))
        event: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return event

    def change(self) -> int | None:
        """Return the number in the event that started this run."""
        number: int | None = self._event.get("pull_request", {}).get("number")
        return number

    def fork(self) -> bool:
        """Compare the repositories of the pull request."""
        if "pull_request" not in self._event:
            return False
        source = self._event["pull_request"]["head"]["repo"]  # None: deleted since
        return source is None or source["full_name"] != variable("GITHUB_REPOSITORY")

    def run_url(self) -> str:
        """Return the run's page."""
        return f"{self._web()}/actions/runs/{variable('GITHUB_RUN_ID')}"

    def actor(self) -> str:
        """Return who started this run, or started it again."""
        return variable("GITHUB_TRIGGERING_ACTOR")

    def description(self, number: int) -> str | None:
        """Return the text as it is now: a job that is run again gets the old event."""
        change = self._api("GET", f"/pulls/{number}")
        return None if change["head"]["ref"].startswith(BOTS) else str(change["body"] or "")

    def comment(self, number: int, body: str, marker: str = MARKER) -> str:
        """Create or update the comment in the pull request's conversation."""
        body = cut(f"{marker}\n{body}", LIMIT)
        comments = f"/issues/{number}/comments"

        def find() -> Any:
            # A person's comment that begins alike is not ours to change.
            return next(
                (
                    entry
                    for entry in self._api.pages(comments)
                    if entry["body"].startswith(marker) and entry["user"]["type"] == "Bot"
                ),
                None,
            )

        entry, new = once(find, lambda: self._api("POST", comments, {"body": body}))
        if not new:
            self._api("PATCH", f"/issues/comments/{entry['id']}", {"body": body})
        return str(entry["html_url"])

    def summary(self, text: str) -> None:
        """Add to the job's summary, on the run's page."""
        with Path(variable("GITHUB_STEP_SUMMARY")).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    def work_item(self, key: str, title: str, body: str) -> str:
        """Open an issue, or comment on the open one with this label."""
        body = cut(body, LIMIT)

        def find() -> Any:
            issues = self._api.pages("/issues", state="open", labels=key)
            return next((issue for issue in issues if "pull_request" not in issue), None)

        fields = {"title": title, "body": body, "labels": [key]}
        issue, new = once(find, lambda: self._api("POST", "/issues", fields))
        if not new:
            self._api("POST", f"/issues/{issue['number']}/comments", {"body": body})
        return str(issue["html_url"])

    def propose(self, branch: str, title: str, body: str) -> str:
        """Open the pull request, or refresh its text."""
        base, body = self._default_branch(), cut(body, LIMIT)
        head = f"{variable('GITHUB_REPOSITORY_OWNER')}:{branch}"

        def find() -> Any:
            return next(self._api.pages("/pulls", state="open", head=head, base=base), None)

        fields = {"title": title, "body": body, "head": branch, "base": base}
        change, new = once(find, lambda: self._api("POST", "/pulls", fields))
        if not new:
            self._api("PATCH", f"/pulls/{change['number']}", {"title": title, "body": body})
        return str(change["html_url"])

    def start(self, workflow: str, inputs: dict[str, str]) -> str:
        """Dispatch a workflow; return its page, as the answer names no run."""
        file = f"{workflow}.yml"
        fields = {"ref": self._default_branch(), "inputs": inputs}
        self._api("POST", f"/actions/workflows/{file}/dispatches", fields)
        return f"{self._web()}/actions/workflows/{file}"

    def credentials(self) -> dict[str, str]:
        """Let git push with the job's token."""
        return git_header(
            f"{variable('GITHUB_SERVER_URL')}/", basic("x-access-token", secret(TOKEN))
        )

    def _default_branch(self) -> str:
        return str(self._api("GET", "")["default_branch"])

    def _web(self) -> str:
        return f"{variable('GITHUB_SERVER_URL')}/{variable('GITHUB_REPOSITORY')}"
