"""A fake of Azure DevOps' REST API.

Paths, fields and status codes are those of MicrosoftDocs/vsts-rest-api-specs 7.1: git,
workItemTracking, pipelines, build.
"""

import html
import re
from pathlib import Path
from typing import Any

TOKEN = "SYSTEM_ACCESSTOKEN"  # noqa: S105
FORK = {"SYSTEM_PULLREQUEST_ISFORK": "True"}
REMOTE = "{url}/org/the project/_git/late"


def variables(url: str, folder: Path) -> dict[str, str]:
    return {
        "AGENT_TEMPDIRECTORY": str(folder),
        "BUILD_BUILDID": "42",
        "BUILD_REPOSITORY_ID": "r1",
        "BUILD_REPOSITORY_NAME": "late",
        "BUILD_REQUESTEDFOR": "ada",
        "SYSTEM_COLLECTIONURI": f"{url}/org/",
        "SYSTEM_PULLREQUEST_ISFORK": "False",
        "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
        "SYSTEM_TEAMPROJECT": "the project",
        "SYSTEM_TEAMPROJECTID": "p1",
    }


def summary(folder: Path, out: str) -> str:
    assert f"##vso[task.uploadsummary]{folder / 'summary.md'}\n" in out
    return (folder / "summary.md").read_text()


class Fake:
    def __init__(self) -> None:
        self.threads: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.runs: list[Any] = []
        api, git = "/org/p1/_apis", "/org/p1/_apis/git/repositories/r1"
        ends = {"sourceRefName", "targetRefName"}
        text = {"title", "description"}
        search = {f"searchCriteria.{key}" for key in ends | {"status"}}
        fields = {f"/fields/System.{key}" for key in ("Title", "Description", "Tags")}
        version = {"api-version"}
        self.routes = {
            f"GET {git}": (set(), version, self.repository),
            f"GET {git}/pullRequests/7/threads": (set(), version, self.list_threads),
            f"POST {git}/pullRequests/7/threads": (
                {"comments", "status"},
                version,
                self.add_thread,
            ),
            rf"PATCH {git}/pullRequests/7/threads/(\d+)/comments/(\d+)": (
                {"content"},
                version,
                self.edit_comment,
            ),
            f"POST {api}/wit/wiql": ({"query"}, version | {"$top"}, self.wiql),
            rf"POST {api}/wit/workitems/\$Issue": (fields, version, self.add_issue),
            rf"PATCH {api}/wit/workitems/(\d+)": (
                {"/fields/System.History"},
                version,
                self.add_to_issue,
            ),
            f"GET {git}/pullrequests": (set(), version | search, self.pulls),
            f"POST {git}/pullrequests": (ends | text, version, self.pull),
            rf"PATCH {git}/pullrequests/(\d+)": (text, version, self.edit_pull),
            f"GET {api}/build/definitions": (set(), version | {"name"}, self.definitions),
            f"POST {api}/pipelines/9/runs": (
                {"resources", "templateParameters"},
                version,
                self.run,
            ),
        }

    def foreign(self, body: str) -> None:
        # Azure DevOps lets nobody edit another's comment: a person's begins with other words.
        self._add({"comments": [{"content": f"I say: {body}"}]})

    def bodies(self) -> list[str]:
        texts = [thread["comments"][0]["content"] for thread in self.threads]
        return [text for text in texts if not text.startswith("I say")]

    def items(self) -> list[list[str]]:
        return [[issue["Title"], issue["Description"], *issue["more"]] for issue in self.issues]

    def close(self) -> None:
        self.issues[-1]["State"] = "Done"

    def _add(self, thread: dict[str, Any]) -> dict[str, Any]:
        thread["id"] = len(self.threads) + 1
        thread["comments"][0]["id"] = 1
        self.threads.append(thread)
        return thread

    def repository(self, ids: list[str], query: Any, body: Any) -> Any:
        return 200, {"id": "r1", "defaultBranch": "refs/heads/main"}

    def list_threads(self, ids: list[str], query: Any, body: Any) -> Any:
        deleted = {"id": 0, "isDeleted": True, "comments": [{"id": 1, "isDeleted": True}]}
        return 200, {"value": [deleted, *self.threads]}

    def add_thread(self, ids: list[str], query: Any, body: Any) -> Any:
        assert body["status"] in ("active", "closed")
        if len(body["comments"][0]["content"]) > 150_000:
            return 400, {"message": "The comment is too long."}
        return 200, self._add(body)

    def edit_comment(self, ids: list[str], query: Any, body: Any) -> Any:
        self.threads[int(ids[0]) - 1]["comments"][int(ids[1]) - 1] |= body
        return 200, body

    def wiql(self, ids: list[str], query: Any, body: Any) -> Any:
        (tag,) = re.findall(r"\[System.Tags\] CONTAINS '([^']+)'", body["query"])
        closed = re.findall(r"'(\w+)'", body["query"].partition("NOT IN")[2])
        found = [i for i in self.issues if i["Tags"] == tag and i["State"] not in closed]
        return 200, {"workItems": [{"id": issue["id"]} for issue in found]}

    def add_issue(self, ids: list[str], query: Any, body: Any) -> Any:
        number = len(self.issues) + 1
        values = {entry["path"].rpartition(".")[2]: html.unescape(entry["value"]) for entry in body}
        self.issues.append(values | {"id": number, "State": "To Do", "more": []})
        return 200, {"id": number}

    def add_to_issue(self, ids: list[str], query: Any, body: Any) -> Any:
        self.issues[int(ids[0]) - 1]["more"].append(body[0]["value"])
        return 200, {}

    def pulls(self, ids: list[str], query: Any, body: Any) -> Any:
        source = query["searchCriteria.sourceRefName"]
        return 200, {"value": [c for c in self.changes if c["sourceRefName"] == source]}

    def pull(self, ids: list[str], query: Any, body: Any) -> Any:
        assert len(body["description"]) <= 4000
        self.changes.append(body | {"pullRequestId": len(self.changes) + 1})
        return 200, self.changes[-1]

    def edit_pull(self, ids: list[str], query: Any, body: Any) -> Any:
        self.changes[int(ids[0]) - 1] |= body
        return 200, self.changes[int(ids[0]) - 1]

    def definitions(self, ids: list[str], query: Any, body: Any) -> Any:
        found = query["name"].endswith("-release")
        return 200, {"value": [{"id": 9, "name": query["name"]}] if found else []}

    def run(self, ids: list[str], query: Any, body: Any) -> Any:
        branch = body["resources"]["repositories"]["self"]["refName"].removeprefix("refs/heads/")
        self.parameters = body["templateParameters"]
        self.runs.append((branch, "release", self.parameters["version"]))
        return 200, {"id": 43}
