import contextlib
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops import versions
from mlops.errors import DataError, MlopsError
from mlops.lineage import Lineage, git


@pytest.fixture
def two(home: Path, memory: Any) -> Any:
    """A registry of two versions that differ in one parameter and one package."""
    folder = home / "models/candidate"
    lineage = Lineage.read(folder)
    for commit in ("aaa1", "bbb2"):
        tags = {"digest": lineage.digest, "commit": commit, "data.raw": f"{commit}.dir"}
        tags["signature"] = commit
        memory.register(folder, tags)
        lineage.params["model"]["strength"] = 2.0
        lineage.dependencies["zoo"] = "1.0"
        lineage.write(folder)
    return memory


def test_versions_are_found_by_data_and_by_commit(two: Any) -> None:
    assert [v.number for v in versions.related(commit="aaa")] == [1]
    assert [v.number for v in versions.related(data="bbb2.d")] == [2]
    assert versions.related() == []
    with pytest.raises(MlopsError, match="no version 7"):
        versions.version(7)


def test_the_difference_is_all_that_differs(two: Any) -> None:
    found = versions.difference(1, 2)
    assert found.pop("params.model.strength") == (1.0, 2.0)
    assert found.pop("package.zoo") == (None, "1.0")
    assert found.keys() == {"number", "commit", "data.raw", "signature"}


def test_a_worktree_is_removed_whatever_happens(home: Path) -> None:
    Path(".dvc").mkdir()
    Path(".dvc/config").touch()
    git("add", "--all")
    git("commit", "--quiet", "--message", "dvc")
    with contextlib.suppress(ZeroDivisionError), versions.worktree("HEAD") as folder:
        assert str(home / ".dvc/cache") in (folder / ".dvc/config.local").read_text()
        _ = 1 / 0
    assert not folder.exists()
    assert len(git("worktree", "list").splitlines()) == 1


def test_dvc_is_tried_again_and_its_words_are_passed_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def failing(command: list[str], **_: Any) -> Any:
        calls.append(command[3:])
        return SimpleNamespace(returncode=1, stderr="no such file")

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(MlopsError, match="dvc pull data: no such file"):
        versions.dvc(["checkout", "data"], home, [sys.executable], {}, fallback="pull")
    assert calls == [["checkout", "data"], ["pull", "data"]]


def test_no_switch_over_uncommitted_changes(two: Any) -> None:
    Path("params.yaml").write_text("seed: 8")
    with pytest.raises(MlopsError, match="commit them first"):
        versions.switch(1)


@pytest.fixture
def pushed(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What DVC is asked; prod has a remote of its own, and the data is good."""
    asked: list[list[str]] = []
    monkeypatch.setattr(versions, "dvc", lambda arguments, *_, **__: asked.append(arguments))
    monkeypatch.setattr(versions, "check_data", lambda revision: None)
    monkeypatch.setattr(versions, "worktree", lambda commit: nullcontext(Path(commit)))
    for name, remote in {"dev": "storage", "prod": "production"}.items():
        path = Path(f"environments/{name}.yaml")
        lines = [line for line in path.read_text().splitlines() if not line.startswith("remote:")]
        path.write_text("\n".join([*lines, f"remote: {remote}\n"]))
    return asked


def test_data_goes_to_the_environments_own_remote_and_into_its_ledger(
    pushed: list[list[str]],
) -> None:
    for why in ("first", "second"):
        versions.release_data("prod", why=why)
    fetch = ["fetch", "--quiet", "data/raw", "data/prepared"]
    push = ["push", "--quiet", "--remote", "production", "data/raw", "data/prepared"]
    assert pushed == [fetch, push, fetch, push]
    lines = Path("deployments/prod/data.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert (first["why"], second["why"]) == ("first", "second")
    assert first["data"] == {"raw": "11aa.dir", "prepared": "22bb.dir"}
    assert (first["who"], first["commit"]) == ("tests@example.com", git("rev-parse", "HEAD"))


def test_a_versions_data_is_that_of_its_commit(
    pushed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = git("rev-parse", "HEAD")
    Path("dvc.lock").write_text("schema: '2.0'\n")
    git("commit", "--quiet", "--all", "--no-verify", "--message", "other data")
    monkeypatch.setattr(versions, "version", lambda number: SimpleNamespace(commit=trained))
    record = versions.release_data("prod", 1)
    assert (record["commit"], record["data"]["raw"]) == (trained, "11aa.dir")
    assert versions.release_data("prod")["data"] == {}


def test_remotes_are_found_from_anywhere(home: Path) -> None:
    (home / ".dvc").mkdir()
    (home / ".dvc/config").write_text(
        "[core]\n    remote = a\n['remote \"a\"']\n    # beside\n    url = ../../a\n"
        "['remote \"b\"']\n    url = s3://b/c\n"
    )
    assert versions._remotes() == (
        f"['remote \"a\"']\n    url = {home.parent / 'a'}\n['remote \"b\"']\n    url = s3://b/c\n"
    )


def test_data_that_is_bad_or_not_committed_is_not_pushed(
    pushed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reject(revision: str) -> None:
        raise DataError("values: hour")

    monkeypatch.setattr(versions, "check_data", reject)
    with pytest.raises(DataError, match="values: hour"):
        versions.release_data("prod")
    Path("dvc.lock").write_text("schema: '2.0'\n")
    with pytest.raises(MlopsError, match=r"dvc\.lock is not committed"):
        versions.release_data("prod")
    assert pushed == []
    assert not Path("deployments/prod/data.jsonl").exists()


def test_dev_cannot_be_made_to_write_prods_remote(
    pushed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_REMOTE", "production")
    with pytest.raises(MlopsError, match="MLOPS_REMOTE names another remote than 'storage'"):
        versions.release_data("dev")
    monkeypatch.delenv("MLOPS_REMOTE")
    path = Path("environments/dev.yaml")
    path.write_text(path.read_text().replace("remote: storage", "remote: production"))
    with pytest.raises(MlopsError, match="'production' is prod's remote: dev may not write it"):
        versions.release_data("dev")
    assert pushed == []


def test_a_failed_push_is_not_in_the_ledger(
    pushed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MlopsError("dvc push: remote is down")

    monkeypatch.setattr(versions, "dvc", fail)
    with pytest.raises(MlopsError, match="remote is down"):
        versions.release_data("prod")
    assert Path("deployments/prod/data.jsonl").read_text() == ""
