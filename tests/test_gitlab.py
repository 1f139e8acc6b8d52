"""GitLab's pipelines, run from their files by gitlab-ci-local, against the local target.

GitLab itself is not here: gitlab-ci-local reads the files and runs the jobs, each in a clone of its
own with the artefacts that it declares, and the API is the fake of the project's own tests.
"""

import contextlib
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import npm
import pytest
import trees
from conftest import ROOT, Project, start

pytestmark = pytest.mark.long

WORKFLOWS = {
    "quality": ["check", "sample", "package"],
    "data": ["check"],
    "candidate": ["check", "security", "train", "report"],
    "integrate": ["check", "security", "train", "register", "container", "request", "alert"],
    "release": ["plan", "dev", "staging", "prod", "alert"],
    "rollback": ["act", "alert"],
    "retrain": ["train", "register", "request", "alert"],
    "tune": ["search", "publish", "alert"],
    "template": ["update", "alert"],
}
MERGE_REQUEST = {
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
}
TOKENS = {"GITLAB_TOKEN": "maintainer-hush", "GITLAB_COMMENT_TOKEN": "reporter-hush"}
# What the job `container` installs, downloads and calls: here that would change the machine. Each
# says what it was asked; the image that buildah pushes has a digest; its rivals are not there.
FAKES = ["apt-get", "curl", "sha256sum", "install", "buildah", "cosign", "docker", "podman"]
FAKE = """#!/bin/sh
case {name} in docker | podman) exit 1 ;; esac
[ -p /dev/stdin ] && cat > /dev/null
echo "{name} $*" >> {log}
for word; do
  case $word in --digestfile=*) printf 'sha256:%064d' 0 > "${{word#--digestfile=}}" ;; esac
done
exit 0
"""
# A line of the closing report; a job of a child pipeline is named after its trigger.
STATUS = re.compile(r"^ (PASS|FAIL) +(?:\[(?:\S+)\] -> )?(\S+) *$", re.MULTILINE)


class Api:
    """The fake of GitLab's API that the project's own tests use, and who asked it for what."""

    def __init__(self) -> None:
        names = runpy.run_path(str(ROOT / "template/tests/unit/forges/gitlab.py"))
        self.fake, self.predefined = names["Fake"](), names["variables"]
        self.asked: list[tuple[str, str]] = []  # token, route
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

            def answer(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                route = f"{self.command} {urlsplit(self.path).path}"
                api.asked.append((self.headers["PRIVATE-TOKEN"], route))
                query = dict(parse_qsl(urlsplit(self.path).query))
                status, content = api.route(route, query, json.loads(text or "{}"))
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = answer  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def route(self, route: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Answer as the fake does; there is nothing else."""
        for pattern, (_, _, handle) in self.fake.routes.items():
            if found := re.fullmatch(pattern, route):
                answer: tuple[int, Any] = handle(list(found.groups()), query, body)
                return answer
        return 404, {"message": f"{route} is not in the fake"}

    def variables(self, folder: Path) -> dict[str, str]:
        """Return what GitLab predefines, that gitlab-ci-local cannot know."""
        url = f"http://127.0.0.1:{self.server.server_port}"
        return dict(self.predefined(url, folder))


def gitlab_ci_local(root: Path, *arguments: str, path: str = os.environ["PATH"]) -> str:
    """Run gitlab-ci-local with nothing of this process's own settings, and return what it says."""
    own = ("MLOPS_", "PYTHON", "PYTEST", "VIRTUAL_ENV", "CI_", "GITLAB")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    environment["PATH"] = os.pathsep.join([str(npm.NODE), path])
    done = subprocess.run(
        [npm.installed() / "node_modules/.bin/gitlab-ci-local", *arguments],
        cwd=root,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return re.sub(r"\x1b\[[\d;]*m", "", done.stdout)


def listed(root: Path, *arguments: str, **variables: str) -> dict[str, str]:
    """Return the jobs that a pipeline has, each with when it runs."""
    given = [f"--variable={name}={value}" for name, value in variables.items()]
    said = gitlab_ci_local(root, "--list-json", *given, *arguments)
    assert "\n[" in said, said
    jobs = json.loads(said[said.index("\n[") :])
    return {job["name"]: job["when"] for job in jobs if job["when"] != "never"}


class Gitlab:
    """An installed project, whose pipelines run on this machine."""

    def __init__(self, project: Project, folder: Path, api: Api) -> None:
        self.project, self.folder, self.api = project, folder, api
        self.deployments = folder / "deployments"
        self.ports = dict(zip(("dev", "staging", "prod"), free_ports(3), strict=True))
        self.said = ""
        fakes = folder / "fakes"
        fakes.mkdir()
        for name in FAKES:
            script = FAKE.format(name=name, log=folder / "fakes.log")
            (fakes / name).write_text(script, encoding="utf-8")
            (fakes / name).chmod(0o755)
        self.path = f"{fakes}{os.pathsep}{os.environ['PATH']}"

    def artefact(self, job: str, path: str) -> Path:
        """Return a file of a job's artefacts."""
        return self.project.root / ".gitlab-ci-local/artifacts" / job / path

    def run(self, *arguments: str, workflow: str = "", **given: str) -> dict[str, str]:
        """Run a pipeline; return each job that ran, and how it ended."""
        predefined = self.api.variables(self.folder)
        if "CI_MERGE_REQUEST_TARGET_BRANCH_NAME" not in given:
            predefined = {k: v for k, v in predefined.items() if "MERGE_REQUEST" not in k}
        everywhere = {
            **predefined,
            "MLOPS_OFFLINE": "1",  # packages are not audited: their database may be out of reach
            "UV_CACHE_DIR": str(Path(os.environ.get("UV_CACHE_DIR", "~/.cache/uv")).expanduser()),
            **({"WORKFLOW": workflow, "CI_PIPELINE_SOURCE": "web"} if workflow else {}),
            **given,
        }
        secrets = {
            "MLOPS_SIGNING_KEY": "00" * 32,
            "MLOPS_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
            "MLOPS_DEPLOYMENTS": str(self.deployments),
            "MLOPS_API_KEYS": "key",
            "MLOPS_RELEASE__HOLD": "1",
        }
        variables = {name: {"*": value} for name, value in everywhere.items()}
        variables |= {name: dict.fromkeys(self.ports, value) for name, value in secrets.items()}
        variables["MLOPS_SERVING__PORT"] = self.ports
        # Without the type, a value that is a path would be taken for a file.
        content = {k: {"type": "variable", "values": v} for k, v in variables.items()}
        file = self.folder / "variables.yml"
        file.write_text(json.dumps(content), encoding="utf-8")
        options = ["--force-shell-executor", "--shell-isolation", "--no-artifacts-to-source"]
        self.said = gitlab_ci_local(
            self.project.root, *options, f"--variables-file={file}", *arguments, path=self.path
        )
        print(self.said)
        assert not [token for token in TOKENS.values() if token in self.said]
        return {name: status for status, name in STATUS.findall(self.said) if name not in WORKFLOWS}

    def champion(self, environment: str) -> str:
        """Return what the environment's ledger says of its last release, if there was one."""
        variables = {"MLOPS_DEPLOYMENTS": str(self.deployments), "NO_COLOR": "1"}
        said = self.project.mlops("deployments", "--env", environment, variables=variables)
        rows = [line.split("\t") for line in said.splitlines()]
        return rows[-1][1] if len(rows) > 1 and "promoted" in rows[-1] else ""


def repository(root: Path, **answers: Any) -> Project:
    """Return a project that is not installed, with an origin: enough to see which jobs it has."""
    shutil.copytree(trees.rendered(ci="gitlab", **answers), root)
    project = Project(root, root / ".venv")
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.run("git", "config", "user.name", "Tester")
    project.run("git", "config", "user.email", "tester@example.com")
    project.commit("Start")
    publish(project)
    return project


def free_ports(number: int) -> list[str]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The default project, not installed."""
    return repository(tmp_path_factory.mktemp("rendered") / "flight-delays")


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gitlab]:
    """A project with four months of data on a GitLab; nothing has run in it."""
    if not shutil.which("rsync"):
        pytest.skip("rsync is missing, and gitlab-ci-local needs it: apt-get install rsync")
    folder = tmp_path_factory.mktemp("gitlab")
    project = start(folder / "flight-delays", ci="gitlab")
    project.write("params.yaml", ("first: 2013-01", "first: 2013-04"), ("2013-08", "2013-07"))
    # A runner that stays: what lies beside one job's checkout no other job sees.
    project.write(".dvc/config", ("../../flight-delays-", f"{folder}/"))
    for remote in ("storage", "production"):
        (folder / remote).mkdir()
    project.commit("Four months")
    publish(project)
    api = Api()
    found = Gitlab(project, folder, api)
    yield found
    api.server.shutdown()
    for state in found.deployments.glob("*/state.json"):
        variables = {"MLOPS_DEPLOYMENTS": str(found.deployments)}
        project.mlops("stop", "--env", state.parent.name, variables=variables)


def publish(project: Project) -> None:
    """Give a project an origin, with main as its default branch."""
    origin = project.root.parent / "origin.git"
    project.run("git", "clone", "--quiet", "--bare", ".", str(origin))
    project.run("git", "remote", "add", "origin", str(origin))
    # What gitlab-ci-local takes names from.
    project.run("git", "remote", "add", "gcl-origin", "https://gitlab.example.com/team/late.git")
    project.run("git", "fetch", "--quiet", "origin")
    project.run("git", "remote", "set-head", "origin", "main")


def touch(project: Project, path: str) -> None:
    """Commit a change of a file that changes nothing else."""
    with (project.root / path).open("a", encoding="utf-8") as file:
        file.write("\n\n# changed\n")  # as the formatter would have it
    project.commit()


# Which jobs -----------------------------------------------------------------
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_has_the_jobs_of_the_graph(rendered: Project, workflow: str) -> None:
    jobs = listed(rendered.root, f"--file=.gitlab/ci/{workflow}.yml")
    assert list(jobs) == WORKFLOWS[workflow]
    assert [name for name, when in jobs.items() if when == "manual"] == (
        ["prod"] if workflow == "release" else []
    )


def test_without_a_service_there_is_no_image(tmp_path: Path) -> None:
    project = repository(tmp_path / "flight-delays", serving=["batch"])
    jobs = listed(project.root, "--file=.gitlab/ci/integrate.yml")
    assert set(WORKFLOWS["integrate"]) - set(jobs) == {"container"}


@pytest.mark.parametrize(
    ("branch", "changed", "workflows"),
    [
        ("change", "src/mlops/gates.py", ["quality"]),
        ("change", "src/flight_delays/data.py", ["quality", "data"]),
        ("change", "params.yaml", ["quality", "data"]),
        ("change", "dvc.lock", ["quality", "data"]),
        ("change", "docs/changed.md", []),
        ("main", "src/mlops/gates.py", ["integrate"]),
        ("main", "docs/changed.md", []),
    ],
)
def test_a_push_starts_what_it_touches(
    rendered: Project, branch: str, changed: str, workflows: list[str]
) -> None:
    rendered.run("git", "checkout", "--quiet", "-B", branch, "origin/main")
    touch(rendered, changed)
    assert list(listed(rendered.root)) == workflows


def test_a_tag_starts_nothing(rendered: Project) -> None:
    rendered.run("git", "checkout", "--quiet", "-B", "change", "origin/main")
    touch(rendered, "src/mlops/gates.py")
    assert listed(rendered.root)
    assert not listed(rendered.root, "--unset-variable=CI_COMMIT_BRANCH", CI_COMMIT_TAG="v1")


@pytest.mark.parametrize(
    ("variables", "workflows"),
    [
        (MERGE_REQUEST, ["candidate"]),
        (MERGE_REQUEST | {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "other"}, []),
        ({"CI_PIPELINE_SOURCE": "web", "WORKFLOW": "none"}, []),
        ({"CI_PIPELINE_SOURCE": "web", "WORKFLOW": "release", "CI_COMMIT_BRANCH": "change"}, []),
        *(
            (
                {"CI_PIPELINE_SOURCE": source, "WORKFLOW": workflow, "CI_COMMIT_BRANCH": "main"},
                [workflow],
            )
            for source in ("web", "api", "schedule")
            for workflow in ("release", "rollback", "retrain", "tune", "template")
        ),
    ],
)
def test_what_is_asked_for_is_started_on_main_only(
    rendered: Project, variables: dict[str, str], workflows: list[str]
) -> None:
    no_branch = [] if "CI_COMMIT_BRANCH" in variables else ["--unset-variable=CI_COMMIT_BRANCH"]
    assert list(listed(rendered.root, *no_branch, **variables)) == workflows


# Real runs ------------------------------------------------------------------
@pytest.fixture(scope="module")
def change(gitlab: Gitlab) -> Iterator[Gitlab]:
    """The same, on a branch with a change of the code."""
    gitlab.project.run("git", "checkout", "--quiet", "-B", "change", "origin/main")
    touch(gitlab.project, "src/flight_delays/features.py")
    yield gitlab
    gitlab.project.run("git", "checkout", "--quiet", "main")


def test_quality_runs_on_a_branch(change: Gitlab) -> None:
    assert change.run() == dict.fromkeys(WORKFLOWS["quality"], "PASS")
    assert list(change.artefact("package", "dist").glob("*.whl"))


def test_candidate_runs_on_a_merge_request(change: Gitlab) -> None:
    token = TOKENS["GITLAB_COMMENT_TOKEN"]
    jobs = change.run(
        "--unset-variable=CI_COMMIT_BRANCH", **MERGE_REQUEST, GITLAB_COMMENT_TOKEN=token
    )
    assert jobs == dict.fromkeys(WORKFLOWS["candidate"], "PASS")
    assert change.artefact("train", "reports/report.html").is_file()
    [comment] = change.api.fake.bodies()
    assert "roc_auc" in comment
    assert {asked for asked, _ in change.api.asked} == {token}


def test_a_refused_candidate_is_shown_and_goes_no_further(change: Gitlab) -> None:
    change.project.write("gates.yaml", ("brier: { max: 0.20 }", "brier: { max: 0.01 }"))
    change.project.commit("A gate that nothing passes")
    jobs = change.run(
        "--unset-variable=CI_COMMIT_BRANCH",
        **MERGE_REQUEST,
        GITLAB_COMMENT_TOKEN=TOKENS["GITLAB_COMMENT_TOKEN"],
    )
    assert jobs == {"check": "PASS", "security": "PASS", "train": "FAIL", "report": "PASS"}
    assert not json.loads(change.artefact("train", "reports/gates.json").read_text())["passed"]
    [comment] = change.api.fake.bodies()  # the same one
    assert "absolute.brier" in comment


@pytest.fixture(scope="module")
def integrated(gitlab: Gitlab) -> dict[str, str]:
    """How the jobs of integrate ended, of a change that is on main."""
    gitlab.project.run("git", "checkout", "--quiet", "main")
    touch(gitlab.project, "src/flight_delays/features.py")
    jobs = gitlab.run(GITLAB_TOKEN=TOKENS["GITLAB_TOKEN"])
    gitlab.project.run("git", "push", "--quiet", "origin", "main")
    gitlab.project.run("git", "fetch", "--quiet", "origin")  # as every job of GitLab's does
    return jobs


def test_integrate_registers_the_merged_model(gitlab: Gitlab, integrated: dict[str, str]) -> None:
    assert integrated == dict.fromkeys(WORKFLOWS["integrate"][:-1], "PASS")  # nothing to alert
    assert json.loads(gitlab.artefact("security", "dist/sbom.cdx.json").read_text())["components"]
    assert gitlab.artefact("register", "release.env").read_text() == "VERSION=1\n"
    assert gitlab.api.fake.runs == [("main", "release", "1")]
    # The model's commit is proposed: main has no dvc.lock yet.
    [proposed] = gitlab.api.fake.changes
    branches = gitlab.project.run("git", "branch", "--remotes", "--list", "origin/mlops/*")
    assert proposed["source_branch"] in branches


def test_an_unknown_version_is_refused_before_anything(
    gitlab: Gitlab, integrated: dict[str, str]
) -> None:
    before = {name: gitlab.champion(name) for name in ("dev", "staging", "prod")}
    assert gitlab.run(workflow="release", VERSION="99") == {"plan": "FAIL"}
    assert "99" in gitlab.said
    assert {name: gitlab.champion(name) for name in before} == before


@pytest.fixture(scope="module")
def waiting(gitlab: Gitlab, integrated: dict[str, str]) -> dict[str, str]:
    """How the jobs of release ended that need no approval."""
    return gitlab.run(workflow="release", VERSION="1")


def test_a_release_waits_for_an_approval(gitlab: Gitlab, waiting: dict[str, str]) -> None:
    assert waiting == dict.fromkeys(["plan", "dev", "staging"], "PASS")
    assert gitlab.champion("staging") == "1"
    assert gitlab.champion("prod") == ""


def test_an_approved_release_reaches_production(gitlab: Gitlab, waiting: dict[str, str]) -> None:
    # The button of the job: it runs with the artefacts of those before.
    assert gitlab.run("--file=.gitlab/ci/release.yml", "prod", workflow="release") == {
        "prod": "PASS"
    }
    assert gitlab.champion("prod") == "1"


def test_a_failure_opens_one_work_item(gitlab: Gitlab, waiting: dict[str, str]) -> None:
    given = {"ACTION": "rollback", "ENVIRONMENT": "staging", "WHY": "$(touch planted)"}
    for _ in range(2):  # there is nothing before the first champion
        jobs = gitlab.run(workflow="rollback", GITLAB_TOKEN=TOKENS["GITLAB_TOKEN"], **given)
        assert jobs == {"act": "FAIL", "alert": "PASS"}
    assert len(gitlab.api.fake.items()) == 1
    assert not list(gitlab.folder.rglob("planted"))
