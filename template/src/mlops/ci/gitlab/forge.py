"""GitLab, as a job of its pipelines sees it: docs.gitlab.com/api/rest."""

import os
import re
from functools import cached_property
from typing import Any

from ..forge import BOTS, MARKER, Client, Forge, basic, cut, git_header, once, secret, variable

TOKEN = "GITLAB_TOKEN"  # noqa: S105 (a project access token: CI_JOB_TOKEN may not comment)
LIMIT = 1_000_000  # characters of a note or a description


def open_forge() -> Forge:
    """Return GitLab."""
    return GitLabForge()


class GitLabForge:
    """Merge requests, issues and pipelines of one project."""

    @cached_property
    def _api(self) -> Client:
        root = f"{variable('CI_API_V4_URL')}/projects/{variable('CI_PROJECT_ID')}"
        return Client(root, TOKEN, "PRIVATE-TOKEN")

    def change(self) -> int | None:
        """Return the number of a merge request pipeline."""
        number = os.environ.get("CI_MERGE_REQUEST_IID")
        return int(number) if number else None

    def fork(self) -> bool:
        """Compare the projects of the merge request."""
        source = os.environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
        return source != os.environ.get("CI_MERGE_REQUEST_PROJECT_ID")

    def run_url(self) -> str:
        """Return the pipeline's page."""
        return variable("CI_PIPELINE_URL")

    def actor(self) -> str:
        """Return who started this pipeline."""
        return variable("GITLAB_USER_LOGIN")

    def description(self, number: int) -> str | None:
        """Return the text as it is now: a job that is run again gets the old variables."""
        change = self._api("GET", f"/merge_requests/{number}")
        bots = change["source_branch"].startswith(BOTS)
        return None if bots else str(change["description"] or "")

    def comment(self, number: int, body: str, marker: str = MARKER) -> str:
        """Create or update the merge request's note."""
        notes = f"/merge_requests/{number}/notes"
        fields = {"body": cut(f"{marker}\n{_tame(body)}", LIMIT)}
        user = Client(variable("CI_API_V4_URL"), TOKEN, "PRIVATE-TOKEN")("GET", "/user")

        def find() -> Any:
            # A person's note that begins alike is not ours to change.
            return next(
                (
                    note
                    for note in self._api.pages(notes)
                    if note["body"].startswith(marker) and note["author"]["id"] == user["id"]
                ),
                None,
            )

        note, new = once(find, lambda: self._api("POST", notes, fields))
        if not new:
            self._api("PUT", f"{notes}/{note['id']}", fields)
        return f"{variable('CI_PROJECT_URL')}/-/merge_requests/{number}#note_{note['id']}"

    def summary(self, text: str) -> None:
        """Print it: a pipeline's page takes no Markdown."""
        print(text, flush=True)

    def work_item(self, key: str, title: str, body: str) -> str:
        """Open an issue, or comment on the open one with this label."""
        body = cut(_tame(body), LIMIT)

        def find() -> Any:
            return next(self._api.pages("/issues", state="opened", labels=key), None)

        fields = {"title": title, "description": body, "labels": key}
        issue, new = once(find, lambda: self._api("POST", "/issues", fields))
        if not new:
            self._api("POST", f"/issues/{issue['iid']}/notes", {"body": body})
        return str(issue["web_url"])

    def propose(self, branch: str, title: str, body: str) -> str:
        """Open the merge request, or refresh its text."""
        ends = {"source_branch": branch, "target_branch": variable("CI_DEFAULT_BRANCH")}
        fields = {"title": title, "description": cut(_tame(body), LIMIT)}

        def find() -> Any:
            return next(self._api.pages("/merge_requests", state="opened", **ends), None)

        change, new = once(find, lambda: self._api("POST", "/merge_requests", ends | fields))
        if not new:
            self._api("PUT", f"/merge_requests/{change['iid']}", fields)
        return str(change["web_url"])

    def start(self, workflow: str, inputs: dict[str, str]) -> str:
        """Run the pipeline with WORKFLOW and the inputs as variables."""
        given = {"WORKFLOW": workflow} | {name.upper(): value for name, value in inputs.items()}
        fields = {
            "ref": variable("CI_DEFAULT_BRANCH"),
            "variables": [{"key": key, "value": value} for key, value in given.items()],
        }
        return str(self._api("POST", "/pipeline", fields)["web_url"])

    def credentials(self) -> dict[str, str]:
        """Let git push with the project access token."""
        return git_header(f"{variable('CI_SERVER_URL')}/", basic("oauth2", secret(TOKEN)))


def _tame(text: str) -> str:
    """Escape what begins like a quick action: a report must not merge its own merge request."""
    return re.sub(r"(?m)^([ \t]*)/", r"\1\\/", text)
