"""A fake of GitLab's REST API.

Paths, fields and status codes are those of doc/api in gitlab-org/gitlab: notes, issues, merge
requests, pipelines, users.
"""

import re
from pathlib import Path
from typing import Any

TOKEN = "GITLAB_TOKEN"  # noqa: S105
FORK = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "6"}
REMOTE = "{url}/team/late.git"


def variables(url: str, folder: Path) -> dict[str, str]:
    return {
        "CI_API_V4_URL": url,
        "CI_DEFAULT_BRANCH": "main",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_PROJECT_ID": "5",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "5",
        "CI_PIPELINE_URL": f"{url}/team/late/-/pipelines/42",
        "CI_PROJECT_ID": "5",
        "CI_PROJECT_URL": f"{url}/team/late",
        "CI_SERVER_URL": url,
        "GITLAB_USER_LOGIN": "ada",
    }


def summary(folder: Path, out: str) -> str:
    return out


class Fake:
    def __init__(self) -> None:
        self.branch, self.description = "better", "Closes #1"
        self.notes: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.runs: list[Any] = []
        page = {"per_page", "page"}
        ends = {"source_branch", "target_branch"}
        text = {"title", "description"}
        self.routes = {
            "GET /user": (set(), set(), lambda ids, query, body: (200, {"id": 1})),
            "GET /projects/5/merge_requests/7/notes": (set(), page, self.list_notes),
            "POST /projects/5/merge_requests/7/notes": ({"body"}, set(), self.add_note),
            r"PUT /projects/5/merge_requests/7/notes/(\d+)": ({"body"}, set(), self.edit_note),
            "GET /projects/5/issues": (set(), page | {"state", "labels"}, self.list_issues),
            "POST /projects/5/issues": (text | {"labels"}, set(), self.add_issue),
            r"POST /projects/5/issues/(\d+)/notes": ({"body"}, set(), self.add_to_issue),
            "GET /projects/5/merge_requests/7": (set(), set(), self.change),
            "GET /projects/5/merge_requests": (set(), page | ends | {"state"}, self.requests),
            "POST /projects/5/merge_requests": (ends | text, set(), self.request),
            r"PUT /projects/5/merge_requests/(\d+)": (text, set(), self.edit_request),
            "POST /projects/5/pipeline": ({"ref", "variables"}, set(), self.pipeline),
        }

    def foreign(self, body: str) -> None:
        self.notes.append({"id": len(self.notes) + 1, "body": body, "author": {"id": 2}})

    def bodies(self) -> list[str]:
        return [note["body"] for note in self.notes if note["author"]["id"] == 1]

    def items(self) -> list[list[str]]:
        return [[issue["title"], issue["description"], *issue["more"]] for issue in self.issues]

    def close(self) -> None:
        self.issues[-1]["state"] = "closed"

    def change(self, ids: list[str], query: Any, body: Any) -> Any:
        return 200, {"description": self.description, "source_branch": self.branch}

    def list_notes(self, ids: list[str], query: Any, body: Any) -> Any:
        return 200, paged(self.notes, query)

    def add_note(self, ids: list[str], query: Any, body: Any) -> Any:
        obey(body["body"])
        if len(body["body"]) > 1_000_000:
            return 400, {"message": {"note": ["is too long (maximum is 1000000 characters)"]}}
        self.notes.append(body | {"id": len(self.notes) + 1, "author": {"id": 1}})
        return 201, self.notes[-1]

    def edit_note(self, ids: list[str], query: Any, body: Any) -> Any:
        obey(body["body"])
        self.notes[int(ids[0]) - 1] |= body
        return 200, self.notes[int(ids[0]) - 1]

    def list_issues(self, ids: list[str], query: Any, body: Any) -> Any:
        assert query["state"] == "opened"
        found = [
            i for i in self.issues if i["state"] == "opened" and query["labels"] == i["labels"]
        ]
        return 200, paged(found, query)

    def add_issue(self, ids: list[str], query: Any, body: Any) -> Any:
        obey(body["description"])
        number = len(self.issues) + 1
        more = {"iid": number, "state": "opened", "web_url": f"issues/{number}", "more": []}
        self.issues.append(body | more)
        return 201, self.issues[-1]

    def add_to_issue(self, ids: list[str], query: Any, body: Any) -> Any:
        self.issues[int(ids[0]) - 1]["more"].append(body["body"])
        return 201, {}

    def requests(self, ids: list[str], query: Any, body: Any) -> Any:
        return 200, [c for c in self.changes if c["source_branch"] == query["source_branch"]]

    def request(self, ids: list[str], query: Any, body: Any) -> Any:
        obey(body["description"])
        more = {"iid": len(self.changes) + 1, "web_url": "merge_requests/1"}
        self.changes.append(body | more)
        return 201, self.changes[-1]

    def edit_request(self, ids: list[str], query: Any, body: Any) -> Any:
        self.changes[int(ids[0]) - 1] |= body
        return 200, self.changes[int(ids[0]) - 1]

    def pipeline(self, ids: list[str], query: Any, body: Any) -> Any:
        given = {entry["key"]: entry["value"] for entry in body["variables"]}
        self.runs.append((body["ref"], given["WORKFLOW"], given["VERSION"]))
        return 201, {"id": 43, "web_url": "pipelines/43"}


def obey(text: str) -> None:
    """GitLab does what a line that begins with a slash says."""
    assert not re.search(r"(?m)^\s*/[a-z]", text), "a quick action"


def paged(entries: list[Any], query: dict[str, str]) -> list[Any]:
    size, page = int(query.get("per_page", 20)), int(query.get("page", 1))
    assert size <= 100
    return entries[size * (page - 1) : size * page]
