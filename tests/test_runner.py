"""GitHub's and Azure's pipelines, run from their files against the local target and a fake API."""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trees
from conftest import Project
from platform_api import PlatformApi
from runner import Runner

pytestmark = pytest.mark.long

# Tools of the job `container` that this machine may lack; the digest is what a push answers.
FAKES = ("docker", "cosign", "curl", "sha256sum", "sudo")
FAKE = f'#!/bin/sh\necho "$(basename "$0") $*" >> "$(dirname "$0")/log"\necho sha256:{"0" * 64}\n'
# What only the platform can do.
LEFT_OUT = {
    "github": {
        "actions/dependency-review-action",
        "docker/login-action",
        "github/codeql-action/analyze",
        "github/codeql-action/init",
        "sigstore/cosign-installer",
    },
    "azure-devops": set[str](),
}


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def repository(root: Path, installed: Project, platform: str) -> Project:
    """Return a project of a platform with four months of data, and a bare origin beside it."""
    shutil.copytree(trees.rendered(ci=platform), root)
    shutil.copy(installed.root / "uv.lock", root)
    project = Project(root, installed.environment)
    project.write("params.yaml", ("first: 2013-01", "first: 2013-04"), ("2013-08", "2013-07"))
    project.write(".dvc/config", ("../../flight-delays", f"{root.parent}/flight-delays"))
    (root.parent / "flight-delays-storage").mkdir()
    for name, port, hold in (("dev", 8080, 0), ("staging", 8082, 60), ("prod", 8084, 300)):
        project.write(f"environments/{name}.yaml", (f"port: {port}", f"port: {free_port()}"))
        if hold:
            project.write(f"environments/{name}.yaml", (f"hold: {hold} ", "hold: 1 "))
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.run("git", "config", "user.name", "Tester")
    project.run("git", "config", "user.email", "tester@example.com")
    project.commit("Start")
    project.run("git", "clone", "--quiet", "--bare", ".", str(root.parent / "origin.git"))
    project.run("git", "remote", "add", "origin", str(root.parent / "origin.git"))
    return project


@pytest.fixture(scope="module", params=["github", "azure-devops"])
def runner(
    request: pytest.FixtureRequest, installed: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runner]:
    """A platform with a project in which nothing has run."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "fakes").mkdir()
    for name in FAKES:
        (folder / "fakes" / name).write_text(FAKE, encoding="utf-8")
        (folder / "fakes" / name).chmod(0o755)
    project = repository(folder / "flight-delays", installed, request.param)
    variables = {
        "COSIGN_KEY": "env://KEY",
        "IMAGE": "registry.example.com/late",
        "MLOPS_API_KEYS": "key",
        "MLOPS_DEPLOYMENTS": str(folder / "deployments"),
        "MLOPS_SIGNING_KEY": "00" * 32,
        "MLOPS_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    path = f"{folder / 'fakes'}{os.pathsep}{os.environ['PATH']}"
    api = PlatformApi(request.param)
    yield Runner(project, api, variables, path)
    api.server.shutdown()
    for state in (folder / "deployments").glob("*/state.json"):
        project.mlops("stop", "--env", state.parent.name, variables=variables)


def champion(runner: Runner, environment: str) -> str:
    """Return what the environment's ledger says of its last release, if there was one."""
    said = runner.project.mlops(
        "deployments", "--env", environment, variables=runner.given | {"NO_COLOR": "1"}
    )
    rows = [line.split("\t") for line in said.splitlines()]
    return rows[-1][1] if len(rows) > 1 and "promoted" in rows[-1] else ""


def test_quality_runs_on_a_branch(runner: Runner) -> None:
    ended = runner.run("quality")
    assert ended == dict.fromkeys(["check", "sample", "package"], "PASS")
    assert list((runner.folder / "artefacts/package").glob("*.whl"))


def test_candidate_runs_on_a_pull_request(runner: Runner) -> None:
    ended = runner.run("candidate", change=True)
    assert set(ended.values()) == {"PASS"}
    [comment] = runner.api.fake.bodies()
    assert "roc_auc" in comment
    assert all(runner.token in headers for headers, _ in runner.api.asked)


def test_integrate_registers_the_merged_model(runner: Runner) -> None:
    ended = runner.run("integrate")
    assert ended.pop("alert") == "SKIP"
    assert set(ended.values()) == {"PASS"}
    assert (runner.folder / "artefacts/version/release.env").read_text() == "VERSION=1\n"
    assert runner.api.fake.runs == [("main", "release", "1")]
    assert runner.left_out == LEFT_OUT[runner.api.platform]


def test_what_is_not_declared_is_not_handed_on(runner: Runner) -> None:
    assert runner.again("register") == "PASS"
    path = ".github/workflows" if runner.api.platform == "github" else "azure-pipelines"
    file = runner.project.root / path / "integrate.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r" +reports/(\*\*)?\n", "", text), encoding="utf-8")
    assert runner.again("register") == "FAIL"
    assert "not handed over by the job that trained" in " ".join(runner.said.split())
    file.write_text(text, encoding="utf-8")


def test_a_release_waits_for_an_approval_and_reaches_production(runner: Runner) -> None:
    ended = runner.run("release", version="1")
    done = dict.fromkeys(["plan", "dev", "staging"], "PASS")
    assert ended == done | {"prod": "WAIT", "alert": "WAIT"}
    assert (champion(runner, "staging"), champion(runner, "prod")) == ("1", "")
    ended = runner.approve("prod")
    assert ended == done | {"prod": "PASS", "alert": "SKIP"}
    assert champion(runner, "prod") == "1"


def test_a_version_that_is_not_there_is_refused_and_told_of(runner: Runner) -> None:
    for _ in range(2):
        ended = runner.run("release", version="99")
        assert ended.pop("plan") == "FAIL"
        assert ended.pop("alert") == "PASS"
        assert set(ended.values()) == {"SKIP"}
    assert "99" in runner.said
    assert len([title for title, *_ in runner.api.fake.items() if "release" in title]) == 1
