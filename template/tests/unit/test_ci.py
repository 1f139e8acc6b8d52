"""What jobs do beside the everyday commands, with a platform that only remembers."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops import candidate, project
from mlops.ci import steps
from mlops.ci.protection import needed
from mlops.ci.variables import CLOUDS, VARIABLES
from mlops.errors import MlopsError
from mlops.lineage import git
from mlops.settings import Paths


class Platform:
    """A platform that remembers what it was told."""

    def __init__(self, fork: bool = False) -> None:
        self.told: list[tuple[str, ...]] = []
        self.forked = fork

    def fork(self) -> bool:
        return self.forked

    def run_url(self) -> str:
        return "https://runs/1"

    def credentials(self) -> dict[str, str]:
        return {"GIT_CONFIG_COUNT": "0"}

    def propose(self, branch: str, title: str, body: str) -> str:
        self.told.append(("propose", branch, title, body))
        return "https://changes/1"

    def start(self, workflow: str, inputs: dict[str, str]) -> str:
        self.told.append(("start", workflow, inputs["version"]))
        return "https://runs/2"


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch, memory: Any) -> Any:
    """A platform, and a registry that costs nothing."""
    monkeypatch.setattr(steps, "open_registry", lambda settings: memory)
    return Platform()


@pytest.fixture
def cloned(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an origin; what DVC would do is written down."""
    for command in (["add", "--all"], ["commit", "--quiet", "--no-verify", "--message", "model"]):
        subprocess.run(["git", *command], check=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", ".", "../origin.git"], check=True)
    subprocess.run(["git", "remote", "add", "origin", str(home.parent / "origin.git")], check=True)
    done: list[str] = []
    monkeypatch.setattr(steps, "_dvc", lambda *arguments: done.append(arguments[0]))
    monkeypatch.setattr(steps, "_DONE", done, raising=False)
    return home


def origin(*arguments: str) -> str:
    return git("--git-dir", "../origin.git", *arguments)


DVC = "[core]\n    remote = storage\n['remote \"storage\"']\n    url = {}\n"


# Ready ---------------------------------------------------------------------------
def everything(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "set")
    monkeypatch.setenv("MLOPS_TRACKING_URI", "https://mlflow.example.com")
    (home / ".dvc").mkdir(exist_ok=True)
    (home / ".dvc/config").write_text(DVC.format("s3://bucket/data"))


@pytest.mark.parametrize("job", ["train", "register", "plan", "release"])
def test_a_job_with_all_it_needs_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, job: Any
) -> None:
    everything(monkeypatch, home)
    steps.ready(job)


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", [n for n, v in VARIABLES.items() if "release" in v.needed])
def test_what_is_missing_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    everything(monkeypatch, home)
    monkeypatch.setattr(project, "REGISTRY", "mlflow")
    monkeypatch.setattr(project, "CI", "gitlab")  # whose jobs may have any of them
    monkeypatch.setattr(project, "PROVIDER", CLOUDS.get(name.partition("_")[0], "local"))
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(MlopsError, match=rf"release: {name} is not set \("):
        steps.ready("release")


def test_what_the_answers_do_not_ask_for_is_not_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(monkeypatch, home)
    monkeypatch.setattr(project, "REGISTRY", "gto")
    monkeypatch.setattr(project, "SERVING", ["batch"])
    monkeypatch.delenv("MLOPS_API_KEYS")
    monkeypatch.delenv("MLOPS_DEPLOYMENTS")
    steps.ready("release")


@pytest.mark.parametrize(
    ("ci", "provider", "names"),
    [
        ("github", "aws", {"AWS_DEFAULT_REGION", "AWS_ROLE_ARN"}),
        ("gitlab", "azure", {"AZURE_CLIENT_ID", "AZURE_TENANT_ID"}),
        ("azure-devops", "azure", set()),
        ("azure-devops", "aws", set()),
        ("azure-devops", "gcp", {"GCP_PROVIDER", "GCP_SERVICE_ACCOUNT"}),
        ("github", "kubernetes", set()),
    ],
)
def test_a_login_is_asked_for_where_jobs_log_in(
    monkeypatch: pytest.MonkeyPatch, ci: str, provider: str, names: set[str]
) -> None:
    monkeypatch.setattr(project, "CI", ci)
    monkeypatch.setattr(project, "PROVIDER", provider)
    for environment in project.ENVIRONMENTS:  # `make ci-verify` looks for them in each
        found = {name for name in needed(environment) if name.partition("_")[0] in CLOUDS}
        assert found == names


def test_a_release_needs_the_environments_own_remote_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(monkeypatch, home)
    monkeypatch.setenv("MLOPS_REMOTE", "production")
    steps.ready("plan")
    with pytest.raises(MlopsError, match=r"DVC's remote production is not in \.dvc/config"):
        steps.ready("release")


@pytest.mark.parametrize(
    ("uri", "remote", "named"),
    [
        ("sqlite:///mlflow.db", "s3://b/d", "tracking_uri is sqlite:///mlflow.db"),
        ("https://mlflow", "../../storage", r"DVC's remote storage is \.\./\.\./storage"),
        ("sqlite:////srv/mlflow.db", "/srv/storage", ""),
    ],
)
def test_storage_that_no_other_job_sees_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, uri: str, remote: str, named: str
) -> None:
    everything(monkeypatch, home)
    monkeypatch.setattr(project, "REGISTRY", "mlflow")
    monkeypatch.setenv("MLOPS_TRACKING_URI", uri)
    (home / ".dvc/config").write_text(DVC.format(remote))
    if not named:
        return steps.ready("train")
    with pytest.raises(MlopsError, match=named):
        steps.ready("train")


# Handing over ---------------------------------------------------------------------
def test_a_fork_shares_nothing(cloned: Path) -> None:
    steps.share(Platform(fork=True), print)
    assert not steps._DONE  # type: ignore[attr-defined]
    steps.share(Platform(), print)
    assert steps._DONE == ["push"]  # type: ignore[attr-defined]


def test_a_committed_lock_is_left_alone(cloned: Path, platform: Platform) -> None:
    steps.publish(platform, "integrate", print)
    assert not platform.told
    assert origin("branch", "--list", "mlops/*") == ""


def test_new_outputs_are_committed_tagged_and_proposed(cloned: Path, platform: Platform) -> None:
    before = git("rev-parse", "HEAD")
    for content in ("first\n", "second\n"):
        (cloned / "dvc.lock").write_text(content)
        steps.publish(platform, "retrain", print)
        assert origin("rev-parse", "mlops/retrain") == git("rev-parse", "HEAD") != before
        assert origin("show", "mlops/retrain:dvc.lock") + "\n" == content
    assert len(origin("tag", "--list", "trained/*").splitlines()) == 2, "each commit is kept"
    assert origin("rev-parse", "main") == before, "main is changed by a pull request only"
    assert [told[:2] for told in platform.told] == [("propose", "mlops/retrain")] * 2


def test_an_output_that_was_not_handed_over_is_named(cloned: Path, platform: Platform) -> None:
    Path("data/validation.json").unlink()
    with pytest.raises(MlopsError, match=r"data/validation\.json: not handed over"):
        steps.publish(platform, "integrate", print)
    assert not platform.told


def test_nothing_else_is_committed(cloned: Path, platform: Platform) -> None:
    (cloned / "dvc.lock").write_text("new\n")
    (cloned / "gates.yaml").write_text("{}\n")
    with pytest.raises(MlopsError, match=r"gates\.yaml changed too"):
        steps.publish(platform, "integrate", print)
    assert not platform.told
    assert origin("branch", "--list", "mlops/*") == ""


def test_a_push_that_is_refused_says_why(cloned: Path, platform: Platform) -> None:
    (cloned.parent / "origin.git").rename(cloned.parent / "gone.git")
    (cloned / "dvc.lock").write_text("new\n")
    with pytest.raises(MlopsError, match=r"git push .*origin\.git"):
        steps.publish(platform, "integrate", print)


# Versions -------------------------------------------------------------------------
@pytest.fixture
def registered(home: Path, memory: Any, platform: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Versions 1, prod's champion, and 2, the challenger."""
    for name in ("one", "two"):
        memory.register(Paths().model, {"digest": name, "commit": name, "signature": name})
    memory.set_alias("champion-prod", 1)
    memory.set_alias("challenger", 2)
    monkeypatch.setattr(candidate, "verify_version", lambda number: None)
    return memory


@pytest.mark.parametrize("number", [0, 2])
def test_a_release_is_pinned_to_a_version(registered: Any, number: int) -> None:
    assert steps.plan(number).number == 2
    assert steps.RELEASE.read_text() == "VERSION=2\n"


def test_what_cannot_be_released_is_refused(
    registered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MlopsError, match="There is no version 7: the registry holds 1, 2"):
        steps.plan(7)

    def edited(number: int) -> None:
        raise MlopsError("record.signature: the gate record was edited")

    monkeypatch.setattr(candidate, "verify_version", edited)
    with pytest.raises(MlopsError, match=r"record\.signature"):
        steps.plan(2)
    registered.names.clear()
    with pytest.raises(MlopsError, match="There is no challenger"):
        steps.plan(0)
    assert not steps.RELEASE.exists()


def test_a_release_is_asked_for_once_there_is_something_new(
    registered: Any, platform: Platform
) -> None:
    steps.start(platform, "release", 1, print)
    assert not platform.told
    steps.start(platform, "release", 2, print)
    assert platform.told == [("start", "release", "2")]


def test_the_candidates_version_is_handed_on(
    registered: Any, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "verified", lambda paths: SimpleNamespace(model="one"))
    monkeypatch.setattr(project, "REGISTRY", "mlflow")
    assert steps.version(platform).number == 1
    assert registered.made[1].tags["tag.deploy-trigger"] == "https://runs/1"
    assert steps.RELEASE.read_text() == "VERSION=1\n"


def test_retraining_without_new_data_judges_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    monkeypatch.setenv("MLOPS_REASON", "manual")  # restored after the test
    monkeypatch.setenv("MLOPS_KIND", "experimental")
    monkeypatch.setattr(candidate, "reproduce", lambda: done.append("as it is"))
    monkeypatch.setattr(candidate, "attempt", lambda **sections: done.append(sections["data"]))
    steps.retrain("schedule", "", print)
    assert done == [{"last": "p5"}]
    assert os.environ["MLOPS_REASON"] == "schedule"
    (home / "params.yaml").write_text(
        (home / "params.yaml").read_text().replace("last: p4", "last: p5")
    )
    steps.retrain("schedule", "", print)
    assert done[1:] == ["as it is"]


# The template -----------------------------------------------------------------------
@pytest.mark.parametrize("improved", [True, False])
def test_improvements_are_proposed(
    cloned: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch, improved: bool
) -> None:
    (cloned / "bin").mkdir()
    tool = cloned / "bin/uvx"  # a fake Copier
    tool.write_text("#!/bin/sh\n" + ("echo new >> gates.yaml\n" if improved else ""))
    tool.chmod(0o755)
    subprocess.run(["git", "add", "bin"], check=True)
    subprocess.run(["git", "commit", "--quiet", "--no-verify", "-m", "tool"], check=True)
    monkeypatch.setenv("PATH", f"{cloned / 'bin'}:{os.environ['PATH']}")
    steps.template(platform, print)
    assert [told[:2] for told in platform.told] == [("propose", "mlops/template")] * improved
