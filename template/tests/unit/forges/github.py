"""A fake of GitHub's REST API.

Paths, fields and status codes are those of github/rest-api-description (api.github.com).
"""

import json
from pathlib import Path
from typing import Any

TOKEN = "GITHUB_TOKEN"  # noqa: S105
FORK = {"GITHUB_REPOSITORY": "upstream/late"}
REMOTE = "{url}/team/late"


def variables(url: str, folder: Path) -> dict[str, str]:
    event = {"pull_request": {"number": 7, "head": {"repo": {"full_name": "team/late"}}}}
    (folder / "event.json").write_text(json.dumps(event))
    return {
        "GITHUB_API_URL": url,
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_REPOSITORY": "team/late",
        "GITHUB_REPOSITORY_OWNER": "team",
        "GITHUB_RUN_ID": "42",
        "GITHUB_SERVER_URL": url,
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_TRIGGERING_ACTOR": "ada",
    }


def summary(folder: Path, out: str) -> str:
    return (folder / "summary.md").read_text()


class Fake:
    def __init__(self) -> None:
        self.branch, self.description = "better", "Closes #1"
        self.notes: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.runs: list[Any] = []
        page = {"per_page", "page"}
        self.routes = {
            "GET /repos/team/late": (set(), set(), self.repository),
            "GET /repos/team/late/issues/7/comments": (set(), page, self.list_notes),
            "POST /repos/team/late/issues/7/comments": ({"body"}, set(), self.add_note),
            r"PATCH /repos/team/late/issues/comments/(\d+)": ({"body"}, set(), self.edit_note),
            "GET /repos/team/late/pulls/7": (set(), set(), self.change),
            "GET /repos/team/late/issues": (set(), page | {"state", "labels"}, self.list_issues),
            "POST /repos/team/late/issues": ({"title", "body", "labels"}, set(), self.add_issue),
            r"POST /repos/team/late/issues/(\d+)/comments": ({"body"}, set(), self.add_to_issue),
            "GET /repos/team/late/pulls": (set(), page | {"state", "head", "base"}, self.pulls),
            "POST /repos/team/late/pulls": ({"title", "body", "head", "base"}, set(), self.pull),
            r"PATCH /repos/team/late/pulls/(\d+)": ({"title", "body"}, set(), self.edit_pull),
            r"POST /repos/team/late/actions/workflows/release\.yml/dispatches": (
                {"ref", "inputs"},
                set(),
                self.dispatch,
            ),
        }

    def foreign(self, body: str) -> None:
        self.notes.append(self._note(body, "User"))

    def bodies(self) -> list[str]:
        return [note["body"] for note in self.notes if note["user"]["type"] == "Bot"]

    def items(self) -> list[list[str]]:
        return [[issue["title"], issue["body"], *issue["more"]] for issue in self.issues]

    def close(self) -> None:
        self.issues[-1]["state"] = "closed"

    def _note(self, body: str, kind: str) -> dict[str, Any]:
        number = len(self.notes) + 1
        return {"id": number, "body": body, "user": {"type": kind}, "html_url": f"note/{number}"}

    def change(self, ids: list[str], query: Any, body: Any) -> Any:
        return 200, {"body": self.description, "head": {"ref": self.branch}}

    def repository(self, ids: list[str], query: Any, body: Any) -> Any:
        return 200, {"default_branch": "main"}

    def list_notes(self, ids: list[str], query: Any, body: Any) -> Any:
        return 200, paged(self.notes, query)

    def add_note(self, ids: list[str], query: Any, body: Any) -> Any:
        if len(body["body"]) > 65_536:
            return 422, {"message": "body is too long (maximum is 65536 characters)"}
        self.notes.append(self._note(body["body"], "Bot"))
        return 201, self.notes[-1]

    def edit_note(self, ids: list[str], query: Any, body: Any) -> Any:
        self.notes[int(ids[0]) - 1]["body"] = body["body"]
        return 200, self.notes[int(ids[0]) - 1]

    def list_issues(self, ids: list[str], query: Any, body: Any) -> Any:
        found = [issue for issue in self.issues if query["labels"] in issue["labels"]]
        if query.get("state", "open") == "open":
            found = [issue for issue in found if issue["state"] == "open"]
        # Pull requests are in this list too.
        return 200, paged([{"number": 99, "pull_request": {}}, *found], query)

    def add_issue(self, ids: list[str], query: Any, body: Any) -> Any:
        assert all(len(label) <= 50 for label in body["labels"])
        number = len(self.issues) + 1
        url = {"html_url": f"issues/{number}"}
        self.issues.append(body | url | {"number": number, "state": "open", "more": []})
        return 201, self.issues[-1]

    def add_to_issue(self, ids: list[str], query: Any, body: Any) -> Any:
        self.issues[int(ids[0]) - 1]["more"].append(body["body"])
        return 201, {}

    def pulls(self, ids: list[str], query: Any, body: Any) -> Any:
        found = [c for c in self.changes if f"team:{c['head']}" == query["head"]]
        return 200, paged(found, query)

    def pull(self, ids: list[str], query: Any, body: Any) -> Any:
        self.changes.append(body | {"number": len(self.changes) + 1, "html_url": "pull/1"})
        return 201, self.changes[-1]

    def edit_pull(self, ids: list[str], query: Any, body: Any) -> Any:
        self.changes[int(ids[0]) - 1] |= body
        return 200, self.changes[int(ids[0]) - 1]

    def dispatch(self, ids: list[str], query: Any, body: Any) -> Any:
        self.runs.append((body["ref"], "release", body["inputs"]["version"]))
        return 204, None


def paged(entries: list[Any], query: dict[str, str]) -> list[Any]:
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    assert size <= 100
    return entries[size * (page - 1) : size * page]
