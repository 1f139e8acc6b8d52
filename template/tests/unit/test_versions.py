import contextlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops import versions
from mlops.errors import MlopsError
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
