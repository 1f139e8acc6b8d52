"""Azure DevOps, as a job of Azure Pipelines sees it: learn.microsoft.com/rest/api/azure/devops."""

import os
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ... import project
from ...errors import MlopsError
from ..forge import MARKER, Client, Forge, cut, git_header, once, secret, variable

TOKEN = "SYSTEM_ACCESSTOKEN"  # noqa: S105
LIMIT = 150_000  # characters of a comment
DESCRIPTION = 4_000  # characters of a pull request
TYPE = "Issue"  # of a work item, in the Basic, Agile and CMMI processes
CLOSED = "'Done', 'Closed', 'Resolved', 'Removed'"  # states of those processes
PATCH = "application/json-patch+json"


def open_forge() -> Forge:
    """Return Azure DevOps."""
    return AzureDevOpsForge()


class AzureDevOpsForge:
    """Pull requests of one repository; work items and pipelines of its project."""

    @cached_property
    def _client(self) -> Client:
        root = f"{variable('SYSTEM_COLLECTIONURI')}{variable('SYSTEM_TEAMPROJECTID')}/_apis"
        return Client(root, TOKEN, "Authorization", "Bearer {}")

    def _api(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self._client(method, path, body, **{"api-version": "7.1"} | query)

    def change(self) -> int | None:
        """Return the number of a pull request build."""
        number = os.environ.get("SYSTEM_PULLREQUEST_PULLREQUESTID")
        return int(number) if number else None

    def fork(self) -> bool:
        """Tell it from what the build says."""
        return os.environ.get("SYSTEM_PULLREQUEST_ISFORK", "").lower() == "true"

    def run_url(self) -> str:
        """Return the run's page."""
        return f"{self._web()}/_build/results?buildId={variable('BUILD_BUILDID')}"

    def actor(self) -> str:
        """Return who started this run."""
        return variable("BUILD_REQUESTEDFOR")

    def description(self, number: int) -> str | None:
        """Return nothing: a policy of the branch asks for linked work items."""
        return None

    def comment(self, number: int, body: str, marker: str = MARKER) -> str:
        """Create or update the first comment of a thread."""
        threads = f"{self._repository()}/pullRequests/{number}/threads"
        content = {"content": cut(f"{marker}\n{body}", LIMIT)}

        def find() -> Any:
            found = self._api("GET", threads)["value"]  # all of them: this list has no pages
            return next((thread for thread in found if _ours(thread, marker)), None)

        # Closed: an active thread can keep a pull request from completing.
        fields = {"comments": [content | {"commentType": "text"}], "status": "closed"}
        thread, new = once(find, lambda: self._api("POST", threads, fields))
        if not new:
            first = thread["comments"][0]["id"]
            self._api("PATCH", f"{threads}/{thread['id']}/comments/{first}", content)
        repository = quote(variable("BUILD_REPOSITORY_NAME"))
        return f"{self._web()}/_git/{repository}/pullrequest/{number}?discussionId={thread['id']}"

    def summary(self, text: str) -> None:
        """Upload it: the run's page has a tab for it."""
        path = Path(variable("AGENT_TEMPDIRECTORY")) / "summary.md"
        path.write_text(text, encoding="utf-8")
        print(f"##vso[task.uploadsummary]{path}", flush=True)

    def work_item(self, key: str, title: str, body: str) -> str:
        """Open an issue on Azure Boards, or add to the open one with this tag."""
        from markdown_it import MarkdownIt

        text = MarkdownIt("commonmark", {"html": False}).render(cut(body, LIMIT))
        items = "/wit/workitems"
        query = (
            "SELECT [System.Id] FROM WorkItems WHERE [System.TeamProject] = @project "  # noqa: S608
            f"AND [System.Tags] CONTAINS '{key}' AND [System.State] NOT IN ({CLOSED})"
        )

        def ask() -> Any:
            return self._api("POST", "/wit/wiql", {"query": query}, **{"$top": 1})["workItems"]

        def find() -> Any:
            found, _ = once(lambda: None, ask)  # it is a POST that creates nothing
            return next(iter(found), None)

        fields = _patch({"Title": title, "Description": text, "Tags": key})
        create = partial(self._api, "POST", f"{items}/${TYPE}", fields, kind=PATCH)
        item, new = once(find, create)
        if not new:
            self._api("PATCH", f"{items}/{item['id']}", _patch({"History": text}), kind=PATCH)
        return f"{self._web()}/_workitems/edit/{item['id']}"

    def propose(self, branch: str, title: str, body: str) -> str:
        """Open the pull request, or refresh its text."""
        ends = {"sourceRefName": f"refs/heads/{branch}", "targetRefName": self._default_branch()}
        fields = {"title": title, "description": cut(body, DESCRIPTION)}
        changes = f"{self._repository()}/pullrequests"

        def find() -> Any:
            query = {f"searchCriteria.{key}": value for key, value in ends.items()}
            found = self._api("GET", changes, **query, **{"searchCriteria.status": "active"})
            return next(iter(found["value"]), None)

        change, new = once(find, lambda: self._api("POST", changes, ends | fields))
        number = change["pullRequestId"]
        if not new:
            self._api("PATCH", f"{changes}/{number}", fields)
        return f"{self._web()}/_git/{quote(variable('BUILD_REPOSITORY_NAME'))}/pullrequest/{number}"

    def start(self, workflow: str, inputs: dict[str, str]) -> str:
        """Run the pipeline that is named after the project and the workflow."""
        name = f"{project.NAME}-{workflow}"
        found = self._api("GET", "/build/definitions", name=name)["value"]
        if not found:
            raise MlopsError(f"There is no pipeline {name!r}: `make ci-setup` makes it.")
        if runner := os.environ.get("MLOPS_RUNNER"):  # YAML cannot choose a pool by a variable
            inputs = inputs | {"runner": runner}
        fields = {
            "resources": {"repositories": {"self": {"refName": self._default_branch()}}},
            "templateParameters": inputs,
        }
        run = self._api("POST", f"/pipelines/{found[0]['id']}/runs", fields)
        return f"{self._web()}/_build/results?buildId={run['id']}"

    def credentials(self) -> dict[str, str]:
        """Let git push with the job's token."""
        url = variable("SYSTEM_COLLECTIONURI")
        return git_header(url, f"Authorization: Bearer {secret(TOKEN)}")

    def _default_branch(self) -> str:
        return str(self._api("GET", self._repository())["defaultBranch"])

    def _repository(self) -> str:
        return f"/git/repositories/{variable('BUILD_REPOSITORY_ID')}"

    def _web(self) -> str:
        return variable("SYSTEM_COLLECTIONURI") + quote(variable("SYSTEM_TEAMPROJECT"))


def _ours(thread: dict[str, Any], marker: str) -> bool:
    """Tell whether a thread begins with our comment; a deleted comment has no content."""
    content: str = thread["comments"][0].get("content") or ""
    return content.startswith(marker)


def _patch(fields: dict[str, str]) -> list[dict[str, str]]:
    """Return the JSON Patch (RFC 6902) that sets fields of a work item."""
    return [
        {"op": "add", "path": f"/fields/System.{name}", "value": value}
        for name, value in fields.items()
    ]
