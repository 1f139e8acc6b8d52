"""What Terraform is told. What it makes of infra/ is proven by `make infra-check`."""

import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mlops import infra, project
from mlops.cli import app
from mlops.cloud import open_cloud
from mlops.errors import MlopsError
from mlops.infra import ROOT
from mlops.settings import load_settings

OWN = infra._provider()
# Says what it was asked, and where; answers as FAKE_CODE and FAKE_SAYS say.
BINARY = """#!/bin/sh
echo "$@" >> "$LOG"
env | grep -E "^(AWS_|ARM_|GOOGLE_|KUBE_)" >> "$LOG.env"
case "$2" in plan) echo "$FAKE_SAYS"; exit "${FAKE_CODE:-0}";; "$FAKE_FAILS") exit 1;; esac
"""
PLAN = "Refreshing...\nTerraform will perform:\n  ~~~~ # a bucket\nPlan: 1 to add, 0 to destroy.\n"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A terminal of nobody's, in the repository, with a binary that only notes what it is asked."""
    for name in ("CI", "TF_BUILD", "ACTIONS_ID_TOKEN_REQUEST_URL", "AGENT_TEMPDIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("terraform", "uv"):
        binary = tmp_path / "bin" / name
        binary.parent.mkdir(exist_ok=True)
        binary.write_text(BINARY, encoding="utf-8")
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setattr(infra, "PLANS", tmp_path / "plans")
    return tmp_path / "log"


def asked(log: Path) -> list[str]:
    """Return the commands, without the folder that they work in."""
    return [line.partition(" ")[2] for line in log.read_text(encoding="utf-8").splitlines()]


def test_check_asks_for_everything_and_nobodys_rights(log: Path) -> None:
    infra.check()
    said = asked(log)
    assert [line.split()[0] for line in said[:5]] == ["fmt", *["init", "validate"] * 2]
    assert all("-backend=false" in line for line in said if line.startswith("init"))
    tested = [line for line in said if line.startswith("test")]
    files = [f"environments/{name}.tfvars" for name in project.ENVIRONMENTS]
    assert len(tested) == 2 * len(files)  # the root's, and the bootstrap's
    assert all(f"/{name}" in line for name, line in zip(files, tested[::2], strict=True))
    assert infra.CHECKOV in said[-1]


@pytest.mark.parametrize("environment", project.ENVIRONMENTS)
def test_an_environment_has_its_own_state(environment: str, log: Path) -> None:
    infra.apply(environment)
    init, apply = asked(log)
    others = [OWN.backend(cloud(e)) for e in project.ENVIRONMENTS if e != environment]
    mine = OWN.backend(cloud(environment))
    assert mine not in others
    assert all(f"-backend-config={key}={value}" in init for key, value in mine.items())
    assert apply.startswith("apply -var-file")  # without -auto-approve: a person is asked
    assert apply.endswith(f"/environments/{environment}.tfvars")
    assert (ROOT / f"environments/{environment}.tfvars").is_file()


def cloud(environment: str) -> Any:
    return open_cloud(load_settings(environment), environment)


@pytest.mark.parametrize(("code", "differs"), [(0, False), (2, True)])
def test_a_plan_says_whether_anything_would_change(
    code: int, differs: bool, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_CODE", str(code))
    monkeypatch.setenv("FAKE_SAYS", PLAN)
    assert infra.plan("prod") == differs
    assert "-lock=false" in asked(log)[-1]  # it may read, and nothing else
    assert (infra.PLANS / "prod.txt").read_text("utf-8").strip() == PLAN.strip()


def test_what_fails_is_said_and_leaves_no_plan(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CODE", "1")
    with pytest.raises(MlopsError, match="terraform plan failed with exit code 1"):
        infra.plan("prod")
    assert not infra.PLANS.exists()
    monkeypatch.setenv("FAKE_FAILS", "init")
    with pytest.raises(MlopsError, match="terraform init failed"):
        infra.apply("prod")
    assert not [line for line in asked(log) if line.startswith("apply")]


def test_all_are_planned_even_if_one_fails(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CODE", "1")
    every = ", ".join(project.ENVIRONMENTS)
    with pytest.raises(MlopsError, match=f"^No plan of {every} .*never applied"):
        infra.plan_all()


def test_drift_names_every_environment_that_differs(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infra.drift()
    monkeypatch.setenv("FAKE_CODE", "2")
    with pytest.raises(MlopsError, match=f"^{', '.join(project.ENVIRONMENTS)}: not what"):
        infra.drift()


def test_without_a_binary_it_is_said_which(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (log.parent / "bin/terraform").rename(log.parent / "bin/tofu")
    infra.apply("dev")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MlopsError, match="Neither terraform nor tofu"):
        infra.apply("dev")


@pytest.mark.parametrize("command", ["bootstrap", "destroy"])
def test_a_pipeline_may_not(command: str, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    getattr(infra, command)("dev")
    assert asked(log)
    log.unlink()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(MlopsError, match=f"No pipeline may {command}"):
        getattr(infra, command)("dev")
    assert not log.exists()


# In a pipeline ----------------------------------------------------------------
@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """GitHub's identity tokens: for whom they were asked."""
    audiences: list[str] = []

    class Tokens(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            audiences.append(self.path.partition("audience=")[2])
            allowed = self.headers["Authorization"] == "bearer request"
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(b'{"value": "identity"}')

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/?v=1"
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", url)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request")
    yield audiences
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_pipeline_acts_as_the_environments_own_identity(
    log: Path, github: list[str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    (home / ".git").mkdir(exist_ok=True)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another login's")
    monkeypatch.setattr(infra, "open_forge", lambda: Forge(fork=False))
    if project.PROVIDER == "azure":  # whose identities are the team's to fill in
        with pytest.raises(MlopsError, match=r"cloud\.plan_client is missing"):
            infra.plan("prod")
        github.clear()
        for number, identity in enumerate(("plan", "apply")):
            client = f"0000000{number}-0000-0000-0000-000000000000"
            monkeypatch.setenv(f"MLOPS_CLOUD__{identity.upper()}_CLIENT", client)
    said = {}
    for identity, act in (("plan", infra.plan), ("apply", infra.apply)):
        act("prod")
        said[identity] = Path(f"{log}.env").read_text("utf-8")
        Path(f"{log}.env").unlink()
    assert "another login's" not in said["plan"] or project.PROVIDER != "aws"
    if OWN.audience(cloud("prod")):
        assert said["plan"] != said["apply"]
        assert len(github) == 2
        assert Path(".git/infra-token").read_text("utf-8") == "identity"
        assert stat.S_IMODE(Path(".git/infra-token").stat().st_mode) == 0o600
    assert "-auto-approve" in asked(log)[-1]  # its approval is the environment's


class Forge:
    def __init__(self, fork: bool) -> None:
        self.fork = lambda: fork


def test_a_forks_job_makes_no_plan(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(infra, "open_forge", lambda: Forge(fork=True))
    assert not infra.plan("prod")
    assert not log.exists()


def test_a_token_that_is_refused_is_said(
    github: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "wrong")
    with pytest.raises(MlopsError, match="no identity token: 401"):
        infra.identity_token("anybody")


def test_elsewhere_the_set_up_has_written_the_token(
    log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert infra.identity_token("anybody") is None
    monkeypatch.setenv("AGENT_TEMPDIRECTORY", str(tmp_path))
    (tmp_path / "identity-token").write_text("agent's", encoding="utf-8")
    assert infra.identity_token("anybody") == tmp_path / "identity-token"
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/identity-token").write_text("checkout's", encoding="utf-8")
    assert infra.identity_token("anybody") == tmp_path / ".git/identity-token"


# The comment ------------------------------------------------------------------
def test_the_comment_has_each_environments_plan_folded(tmp_path: Path) -> None:
    (tmp_path / "prod.txt").write_text(PLAN, encoding="utf-8")
    text = infra.summary("https://ci.example/run/1", tmp_path)
    assert "<b>prod</b>: Plan: 1 to add, 0 to destroy." in text
    assert "Refreshing" not in text
    assert text.count("~~~~") == 2  # a plan cannot end its own fence
    assert "**dev**: no plan; [this run](https://ci.example/run/1)" in text
    (tmp_path / "dev.txt").write_text("No changes. Your infrastructure matches.\n", "utf-8")
    assert "<b>dev</b>: No changes." in infra.summary("", tmp_path)


def test_the_commands_reach_it(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke
    assert run(app, ["infra", "plan", "--all"]).exit_code == 0
    plans = [line for line in asked(log) if line.startswith("plan")]
    assert len(plans) == len(project.ENVIRONMENTS)
    monkeypatch.setenv("ENV", "prod")
    assert run(app, ["infra", "apply"]).exit_code == 0
    assert "prod.tfvars" in asked(log)[-1]
    assert run(app, ["infra", "drift"]).exit_code == 0
    assert run(app, ["infra", "check"]).exit_code == 0
    shown: list[str] = []
    monkeypatch.setattr("mlops.ci.open_forge", lambda: Run())
    monkeypatch.setattr("mlops.ci.comment.show", lambda *said: shown.extend(map(str, said)))
    assert run(app, ["infra", "comment"]).exit_code == 0
    assert infra.MARKER in shown


class Run:
    def run_url(self) -> str:
        return "https://ci.example/run/1"
