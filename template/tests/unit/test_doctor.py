"""`mlops doctor` on this machine; the template holds each provider's checks to its platform."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from mlops import cli, doctor, project
from mlops.doctor import Finding
from mlops.errors import MlopsError
from mlops.lineage import git
from mlops.registry.base import champion
from mlops.release.targets.base import State

REMOTE = """[core]
    no_scm = true
['remote "storage"']
    url = {url}
"""


@pytest.fixture(autouse=True)
def here(home: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the registry of a project that lives on this machine alone, with a remote."""
    monkeypatch.setenv("MLOPS_ENV", "dev")
    monkeypatch.setattr(project, "PROVIDER", "local")
    monkeypatch.setattr(project, "REGISTRY", "memory")
    monkeypatch.setattr(doctor, "open_registry", lambda settings: memory)
    (home / ".dvc").mkdir()
    (home / "storage").mkdir()
    (home / ".dvc/config").write_text(REMOTE.format(url="../storage"))
    serve(monkeypatch, State())
    return memory


def serve(patch: pytest.MonkeyPatch, state: State, status: int = 200) -> None:
    """Let a target be in this state, and answer so."""
    target = SimpleNamespace(state=lambda: state, ask=lambda slot, path: (status, {"path": path}))
    patch.setattr(doctor, "open_target", lambda environment, settings: target)


def register(memory: Any, home: Path) -> None:
    facts = {"digest": "0" * 64, "commit": git("rev-parse", "HEAD")}
    memory.register(home / "models/candidate", facts)
    memory.set_alias(champion("dev"), 1)


def examine() -> dict[str, Finding]:
    return {one.check: one for one in doctor.examine("dev")}


def test_what_answers_is_well(here: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(here, home)
    serve(monkeypatch, State(versions={"blue": 1}, address="http://127.0.0.1:8080"))
    found = examine()
    assert [*found] == [*doctor.CHECKS]
    absent = {name for name, one in found.items() if one.verdict == "n/a"}
    assert absent == {"login", "roles", "storage", "budget"}  # a provider's
    assert all(one.verdict == "ok" for name, one in found.items() if name not in absent), found
    assert "champion: 1" in found["registry"].found
    assert "version 1 answers at http" in found["endpoint"].found


def test_what_is_not_made_yet_is_no_fault(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def opened(_: Any) -> None:
        raise AssertionError("MLflow makes its file as it opens it")

    (home / "storage").rmdir()
    monkeypatch.setattr(doctor, "open_registry", opened)
    monkeypatch.setattr(project, "REGISTRY", "mlflow")
    monkeypatch.setenv("MLOPS_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    found = examine()
    assert not [one for one in found.values() if one.verdict == "fault"], found
    assert found["remote"].found.endswith("nothing was pushed yet")
    assert "the first run makes it" in found["registry"].found
    assert "no champion yet" in found["endpoint"].found
    assert not (home / "storage").exists()


def test_a_remote_is_listed_itself_or_what_it_will_lie_in(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.fs import LocalFileSystem

    seen: list[str] = []
    monkeypatch.setattr(LocalFileSystem, "ls", lambda self, path, detail: seen.append(path))
    examine()
    (home / "storage").rmdir()
    examine()
    assert seen == [str(home / "storage"), str(home)]


@pytest.mark.parametrize(("remote", "url"), [("moon", "../storage"), ("storage", "../no/where")])
def test_a_remote_that_is_not_there(
    remote: str, url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_REMOTE", remote)
    (home / ".dvc/config").write_text(REMOTE.format(url=url))
    found = examine()["remote"]
    assert found.verdict == "fault"
    assert "remote in environments/dev.yaml or its url in .dvc/config" in found.fix


def test_whatever_a_check_raises_all_are_made_and_no_secret_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: Any) -> None:
        away = "http://user:secret@example.com is away"  # pragma: allowlist secret
        raise RuntimeError(f"{away},\nfor key-of-the-team")

    monkeypatch.setenv("MLOPS_SIGNING_KEY", "key-of-the-team")
    monkeypatch.setattr(doctor, "open_registry", broken)
    found = examine()
    assert [*found] == [*doctor.CHECKS]
    assert found["registry"].found == "RuntimeError: http://***@example.com is away, for ***"
    assert "tracking_uri" in found["registry"].fix
    assert found["remote"].verdict == "ok"


def test_a_pipeline_lacks_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine()["keys"].verdict == "ok"
    monkeypatch.setenv("CI", "true")
    found = examine()["keys"]
    assert found.verdict == "fault"
    assert "MLOPS_SIGNING_KEY is not set" in found.found


def test_a_champion_that_nobody_serves_and_one_that_does_not_answer(
    here: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(here, home)
    assert "make serve ENV=dev" in examine()["endpoint"].fix
    serve(monkeypatch, State(versions={"blue": 1}, address="http://127.0.0.1:8080"), status=503)
    found = examine()["endpoint"]
    assert found.verdict == "fault"
    assert "answers 503" in found.found
    monkeypatch.setattr(project, "SERVING", ["batch"])
    assert examine()["endpoint"].verdict == "n/a"


def test_the_command_says_a_line_for_each_and_fails_with_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = CliRunner().invoke(cli.app, ["doctor"], catch_exceptions=False)
    assert done.exit_code == 0
    assert [line.split()[1] for line in done.output.splitlines()] == [*doctor.CHECKS]
    monkeypatch.setenv("MLOPS_REMOTE", "moon")
    monkeypatch.setenv("CI", "true")
    done = CliRunner().invoke(cli.app, ["doctor", "--env", "dev"])
    assert done.exit_code == 1
    assert isinstance(done.exception, MlopsError)
    assert str(done.exception) == "dev: 2 of 8 checks failed: remote, keys."
    [line] = [line for line in done.output.splitlines() if line.split()[1] == "remote"]
    assert line.startswith("fault")
    assert "Fix: Correct remote" in line
    told = json.loads(CliRunner().invoke(cli.app, ["doctor", "--json"]).output)
    assert [one["check"] for one in told] == [*doctor.CHECKS]
    assert [one["check"] for one in told if one["verdict"] == "fault"] == ["remote", "keys"]
