"""Fakes of three platforms' pull requests, on loopback.

Built from what is published: GitHub's REST API 2022-11-28 (below /api/v3, as Enterprise has it),
GitLab's REST API 4, Azure DevOps' REST API 7.1 (MicrosoftDocs/vsts-rest-api-specs: git, policy).
A path, a field or a parameter that is not in there is refused and kept in `unknown`.
"""

import base64
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, unquote, urlsplit

TOKEN = "hush-hush-1234"

Answer = tuple[int, Any]
Handle = Callable[[list[str], dict[str, str], Any], Answer]


@dataclass
class Pull:
    """A pull request, as no platform writes it."""

    number: int
    repository: str
    branch: str
    base: str
    title: str
    body: str
    fork: bool = False
    state: str = "open"
    conflict: bool = False
    commit: int = 1
    checks: list[tuple[str, str | None, int]] = field(default_factory=list)  # source, state, commit

    @property
    def sha(self) -> str:
        return f"{self.number:020x}{self.commit:020x}"

    def check(self, source: str, state: str | None) -> None:
        """Let a check of the newest commit be in one of the platform's own states."""
        self.checks.append((source, state, self.commit))

    def of(self, source: str, sha: str) -> list[str | None]:
        """Return the states that a source says of a commit."""
        return [s for by, s, n in self.checks if by == source and self._sha(n) == sha]

    def _sha(self, commit: int) -> str:
        return f"{self.number:020x}{commit:020x}"


@dataclass
class Fault:
    """An answer that is given once, in place of the right one, or after the work was done."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b"{}"
    done: bool = False
    method: str | None = None  # only for this one


class ForgeServer:
    """A platform that people and the factory change.

    Attributes:
        pulls: Every request there is.
        asked: Every call: method, path, and all that was sent.
        unknown: What the published API does not have.
        faults: What is answered next.
        before_open: Called when a request is about to be opened.
    """

    kind: str
    token: str  # the environment variable
    longest: int
    states: ClassVar[
        dict[str, dict[str, list[str | None]]]
    ]  # of each source of checks: ours -> theirs
    errors: ClassVar[dict[int, dict[str, Any]]]

    def __init__(self) -> None:
        self.pulls: list[Pull] = []
        self.asked: list[tuple[str, str, str]] = []
        self.unknown: list[str] = []
        self.faults: list[Fault] = []
        self.before_open: Callable[[], None] | None = None
        self.routes: dict[str, tuple[set[str], set[str], Handle]] = {}
        self._lock = threading.Lock()
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

            def answer(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                with forge._lock:
                    status, headers, content = forge._answer(
                        self.command,
                        self.path,
                        {k.lower(): v for k, v in self.headers.items()},
                        text,
                    )
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        for method in ("GET", "PATCH", "POST", "PUT"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def remote(self, repository: str = "late") -> str:
        """Return a repository's address."""
        raise NotImplementedError

    def allowed(self, headers: dict[str, str]) -> bool:
        """Tell whether the token is there, as the platform wants it."""
        raise NotImplementedError

    def add(self, branch: str, repository: str = "late", **fields: Any) -> Pull:
        """Open a request, as a person may."""
        number = sum(pull.repository == repository for pull in self.pulls) + 1
        given = {"base": "main", "title": "", "body": ""} | fields
        self.pulls.append(Pull(number, repository, branch, **given))
        return self.pulls[-1]

    def pull(self, repository: str, number: str) -> Pull:
        """Return a request by its number."""
        return next(p for p in self.pulls if p.repository == repository and p.number == int(number))

    def open(self, repository: str, branch: str | None) -> list[Pull]:
        """Return the open requests from a branch, those of forks too."""
        return [
            pull
            for pull in self.pulls
            if (pull.repository, pull.branch, pull.state) == (repository, branch, "open")
        ]

    def _opened(self, branch: str, repository: str, **fields: Any) -> Pull | None:
        """Open a request; None where there is one."""
        if self.before_open:
            self.before_open()
        if any(not pull.fork for pull in self.open(repository, branch)):
            return None
        return self.add(branch, repository, **fields)

    def _answer(
        self, method: str, url: str, headers: dict[str, str], text: str
    ) -> tuple[int, dict[str, str], bytes]:
        self.asked.append((method, url, text))
        fault = next((f for f in self.faults if f.method in (None, method)), None)
        if fault:
            self.faults.remove(fault)
            if fault.done:
                self._right(method, url, headers, text)
            return fault.status, fault.headers, fault.content
        status, content = self._right(method, url, headers, text)
        return status, {}, json.dumps(content).encode()

    def _right(self, method: str, url: str, headers: dict[str, str], text: str) -> Answer:
        if not self.allowed(headers):
            return 401, self.errors[401]
        parts, body = urlsplit(url), json.loads(text or "{}")
        query = dict(parse_qsl(parts.query))
        for pattern, (fields, parameters, handle) in self.routes.items():
            if found := re.fullmatch(pattern, f"{method} {parts.path}"):
                strange = (set(body) - fields) | (set(query) - parameters)
                if strange:
                    self.unknown.append(f"{method} {parts.path}: {strange}")
                try:
                    return handle([unquote(group) for group in found.groups()], query, body)
                except StopIteration:
                    return 404, self.errors[404]
        self.unknown.append(f"{method} {parts.path}")
        return 404, self.errors[404]


class GitHubServer(ForgeServer):
    """GitHub Enterprise."""

    kind, token, longest = "github", "GITHUB_TOKEN", 65_536
    states: ClassVar = {
        "suite": {
            "green": ["success", "neutral", "skipped"],
            "red": [
                *("failure", "cancelled", "timed_out", "action_required", "startup_failure"),
                "stale",
            ],
            "pending": [None],
        },
        "status": {"green": ["success"], "red": ["failure"], "pending": ["pending"]},
    }
    errors: ClassVar = {
        401: {"message": "Bad credentials"},
        403: {"message": "Resource not accessible by personal access token"},
        404: {"message": "Not Found"},
        422: {
            "message": "Validation Failed",
            "errors": [{"resource": "PullRequest", "message": "No commits between main and b"}],
        },
    }

    def __init__(self, fine_grained: bool = False) -> None:
        super().__init__()
        self.fine_grained = fine_grained  # such a token may not read checks
        at = r"/api/v3/repos/team/([^/]+)"
        text = {"title", "body"}
        self.routes = {
            rf"GET {at}/pulls": (set(), {"state", "head", "base", "per_page"}, self._list),
            rf"POST {at}/pulls": (text | {"head", "base", "draft"}, set(), self._post),
            rf"GET {at}/pulls/(\d+)": (set(), set(), self._get),
            rf"PATCH {at}/pulls/(\d+)": (text | {"state", "base"}, set(), self._patch),
            rf"GET {at}/commits/(\w+)/check-suites": (set(), {"per_page"}, self._suites),
            rf"GET {at}/actions/runs": (set(), {"per_page", "head_sha"}, self._runs),
            rf"GET {at}/commits/(\w+)/status": (set(), {"per_page"}, self._status),
        }

    def remote(self, repository: str = "late") -> str:
        return f"{self.url}/team/{repository}.git"

    def allowed(self, headers: dict[str, str]) -> bool:
        wanted = {
            "authorization": f"Bearer {TOKEN}",
            "accept": "application/vnd.github+json",
            "x-github-api-version": "2022-11-28",
        }
        return wanted.items() <= headers.items() and "user-agent" in headers

    def _full(self, pull: Pull) -> dict[str, Any]:
        owner = "stranger" if pull.fork else "team"
        return {
            "number": pull.number,
            "html_url": f"{self.url}/team/{pull.repository}/pull/{pull.number}",
            "state": "open" if pull.state == "open" else "closed",
            "merged_at": "2026-01-01T00:00:00Z" if pull.state == "merged" else None,
            "mergeable": not pull.conflict if pull.commit > 1 or pull.conflict else None,
            "title": pull.title,
            "body": pull.body,
            "head": {
                "ref": pull.branch,
                "sha": pull.sha,
                "repo": {"full_name": f"{owner}/{pull.repository}"},
            },
            "base": {"ref": pull.base},
        }

    def _list(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        branch = query["head"].partition(":")[2]  # a fork in the same organisation has it too
        return 200, [self._full(pull) for pull in self.open(at[0], branch)]

    def _post(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        if len(body["body"]) > self.longest:
            return 422, {
                "message": "Validation Failed",
                "errors": [{"message": "body is too long"}],
            }
        pull = self._opened(
            body["head"], at[0], base=body["base"], title=body["title"], body=body["body"]
        )
        if pull is None:
            error = f"A pull request already exists for team:{body['head']}."
            return 422, {"message": "Validation Failed", "errors": [{"message": error}]}
        return 201, self._full(pull)

    def _get(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        return 200, self._full(self.pull(*at))

    def _patch(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        pull = self.pull(*at)
        pull.title, pull.body = body["title"], body["body"]
        return 200, self._full(pull)

    def _of(self, repository: str, sha: str, source: str) -> list[str | None]:
        pulls = [pull for pull in self.pulls if pull.repository == repository]
        return [state for pull in pulls for state in pull.of(source, sha)]

    def _suites(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        if self.fine_grained:
            return 403, self.errors[403]
        # Every app has a suite; this one never checks.
        suites: list[Any] = [
            {"conclusion": None, "latest_check_runs_count": 0, "app": {"slug": "renovate"}}
        ]
        for state in self._of(at[0], at[1], "suite"):
            count = 0 if state is None else 2  # a workflow that is queued has no run yet
            app = {"slug": "github-actions"}
            suites.append({"conclusion": state, "latest_check_runs_count": count, "app": app})
        return 200, {"total_count": len(suites), "check_suites": suites}

    def _runs(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        runs: list[dict[str, Any]] = [
            {"id": 100 - n, "workflow_id": n, "event": "pull_request", "conclusion": state}
            for n, state in enumerate(self._of(at[0], query["head_sha"], "suite"))
        ]
        # A workflow's older run, that was cancelled for the newer.
        older = [run | {"id": run["id"] - 90, "conclusion": "cancelled"} for run in runs]
        return 200, {"total_count": 2 * len(runs), "workflow_runs": runs + older}

    def _status(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        states = self._of(at[0], at[1], "status")
        worst = next((s for s in ("failure", "pending", "success") if s in states), "pending")
        return 200, {"state": worst, "total_count": len(states), "statuses": []}


class GitLabServer(ForgeServer):
    """GitLab."""

    kind, token, longest = "gitlab", "GITLAB_TOKEN", 1_000_000
    states: ClassVar = {
        "pipeline": {
            "green": ["success"],
            "red": ["failed", "canceled"],
            "pending": [
                *("created", "waiting_for_resource", "preparing", "waiting_for_callback"),
                *("pending", "running", "manual", "scheduled", "canceling"),
            ],
            "none": ["skipped"],
        }
    }
    errors: ClassVar = {
        401: {"message": "401 Unauthorized"},
        403: {
            "error": "insufficient_scope",
            "error_description": "The request requires higher privileges than provided.",
        },
        404: {"message": "404 Project Not Found"},
        422: {"message": {"source_branch": ["does not exist"]}},
    }

    def __init__(self) -> None:
        super().__init__()
        at = r"/api/v4/projects/team%2Fml%2F([^/]+)/merge_requests"
        text = {"title", "description"}
        listed = {"state", "source_branch", "per_page"}
        ends = {"source_branch", "target_branch"}
        self.routes = {
            rf"GET {at}": (set(), listed, self._list),
            rf"POST {at}": (text | ends, set(), self._post),
            rf"GET {at}/(\d+)": (set(), set(), self._get),
            rf"PUT {at}/(\d+)": (text, set(), self._put),
        }

    def remote(self, repository: str = "late") -> str:
        return f"{self.url}/team/ml/{repository}.git"

    def allowed(self, headers: dict[str, str]) -> bool:
        return headers.get("private-token") == TOKEN

    def _full(self, pull: Pull) -> dict[str, Any]:
        commits = [(state, commit) for _, state, commit in pull.checks]
        pipeline = None
        if commits:
            state, commit = commits[-1]
            sha = pull._sha(commit)
            pipeline = {"sha": sha, "ref": pull.branch, "status": state}
        states = {"open": "opened"}
        return {
            "iid": pull.number,
            "web_url": f"{self.url}/team/ml/{pull.repository}/-/merge_requests/{pull.number}",
            "state": states.get(pull.state, pull.state),
            "source_project_id": 666 if pull.fork else 7,
            "target_project_id": 7,
            "sha": pull.sha,
            "has_conflicts": pull.conflict,
            "head_pipeline": pipeline,
        }

    def _list(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        return 200, [self._full(pull) for pull in self.open(at[0], query["source_branch"])]

    def _post(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        fields = {"base": body["target_branch"], "title": body["title"]}
        pull = self._opened(body["source_branch"], at[0], **fields, body=body["description"])
        if pull is None:
            said = "Another open merge request already exists for this source branch: !1"
            return 409, {"message": [said]}
        return 201, self._full(pull)

    def _get(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        return 200, self._full(self.pull(*at))

    def _put(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        pull = self.pull(*at)
        pull.title, pull.body = body["title"], body["description"]
        return 200, self._full(pull)


class AzureDevOpsServer(ForgeServer):
    """Azure DevOps Server."""

    kind, token, longest = "azure-devops", "AZURE_DEVOPS_TOKEN", 4_000
    states: ClassVar = {
        "policy": {
            "green": ["approved"],
            "red": ["rejected", "broken"],
            "pending": ["queued", "running"],
            "none": ["notApplicable"],
        },
        "status": {
            "green": ["succeeded"],
            "red": ["failed", "error"],
            "pending": ["pending", "notSet"],
            "none": ["notApplicable"],
        },
    }
    errors: ClassVar = {
        401: {"message": "TF400813: The user is not authorized to access this resource."},
        403: {"message": "TF401027: You need the Git 'PullRequestContribute' permission"},
        404: {"message": "TF401019: The Git repository does not exist"},
        422: {"message": "TF401398: The pull request cannot be activated"},
    }
    _STATES: ClassVar = {"open": "active", "merged": "completed", "closed": "abandoned"}

    def __init__(self) -> None:
        super().__init__()
        project = r"/tfs/org/the%20project/_apis"
        at = rf"{project}/git/repositories/([^/]+)"
        text, version = {"title", "description"}, {"api-version"}
        search = {"searchCriteria.sourceRefName", "searchCriteria.status"}
        ends = {"sourceRefName", "targetRefName"}
        self.routes = {
            rf"GET {at}/pullrequests": (set(), version | search, self._list),
            rf"POST {at}/pullrequests": (text | ends, version, self._post),
            rf"GET {at}/pullrequests/(\d+)": (set(), version, self._get),
            rf"PATCH {at}/pullrequests/(\d+)": (text, version, self._patch),
            rf"GET {project}/policy/evaluations": (
                set(),
                version | {"artifactId"},
                self._evaluations,
            ),
            rf"GET {at}/commits/(\w+)/statuses": (set(), version | {"latestOnly"}, self._statuses),
        }

    def remote(self, repository: str = "late") -> str:
        return f"{self.url}/tfs/org/the%20project/_git/{repository}"

    def allowed(self, headers: dict[str, str]) -> bool:
        basic = base64.b64encode(f":{TOKEN}".encode()).decode()
        return headers.get("authorization") == f"Basic {basic}"

    def _full(self, pull: Pull) -> dict[str, Any]:
        return {
            "pullRequestId": pull.number,
            "repository": {"id": pull.repository, "project": {"id": pull.repository}},
            "status": self._STATES[pull.state],
            "mergeStatus": "conflicts" if pull.conflict else "succeeded",
            "lastMergeSourceCommit": {"commitId": pull.sha},
        } | ({"forkSource": {"name": "refs/heads/x"}} if pull.fork else {})

    def _list(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        branch = query["searchCriteria.sourceRefName"].removeprefix("refs/heads/")
        return 200, {"value": [self._full(pull) for pull in self.open(at[0], branch)]}

    def _post(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        if len(body["description"]) > self.longest:
            return 400, {"message": "Invalid argument value. Parameter name: Description"}
        pull = self._opened(
            body["sourceRefName"].removeprefix("refs/heads/"),
            at[0],
            base=body["targetRefName"].removeprefix("refs/heads/"),
            title=body["title"],
            body=body["description"],
        )
        if pull is None:
            said = "TF401179: An active pull request for the source and target branch exists."
            return 409, {"message": said}
        return 201, self._full(pull)

    def _get(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        return 200, self._full(self.pull(*at))

    def _patch(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        pull = self.pull(*at)
        pull.title, pull.body = body["title"], body["description"]
        return 200, self._full(pull)

    def _evaluations(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        assert query["api-version"] == "7.1-preview.1"
        *_, repository, number = query["artifactId"].split("/")
        pull = self.pull(repository, number)
        reviewers = ("fa4e907d-c16b-4a4c-9dfa-4906e5d171dd", True, "queued", False)
        disabled = ("0609b952-1397-4640-95ec-e00a01b2c241", False, "rejected", False)
        build = "0609b952-1397-4640-95ec-e00a01b2c241"
        # A build keeps its result when a commit is pushed; it only expires.
        builds = [
            (build, True, state, commit != pull.commit)
            for source, state, commit in pull.checks
            if source == "policy"
        ]
        return 200, {
            "value": [
                {
                    "configuration": {"isEnabled": enabled, "type": {"id": kind}},
                    "status": state,
                    "context": {"isExpired": expired},
                }
                for kind, enabled, state, expired in [reviewers, disabled, *builds]
            ]
        }

    def _statuses(self, at: list[str], query: dict[str, str], body: Any) -> Answer:
        pulls = [pull for pull in self.pulls if pull.repository == at[0]]
        states = [state for pull in pulls for state in pull.of("status", at[1])]
        return 200, {"value": [{"state": state, "context": {"name": "ci"}} for state in states]}


SERVERS: tuple[type[ForgeServer], ...] = (GitHubServer, GitLabServer, AzureDevOpsServer)
