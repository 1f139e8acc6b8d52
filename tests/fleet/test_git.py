"""git is run so that the repository has no say in how."""

import os
import subprocess
from pathlib import Path

import pytest
from scenario import git, isolate

from factory.errors import FactoryError
from factory.git import Git, GitError, entries, require


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A repository with a commit."""
    isolate(monkeypatch, tmp_path / "settings")
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "a b\n\u00fc.txt").write_text("one")
    (folder / "run.sh").write_text("two")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("run.sh")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All")
    return Git(folder)


def test_entries_and_contents(repository: Git) -> None:
    found = entries(repository, "HEAD")
    modes = {path: mode for path, (mode, _) in found.items()}
    assert modes == {"a b\n\u00fc.txt": "100644", "run.sh": "100755", "link": "120000"}
    names = [found[path][1] for path in found]
    absent = "0" * 40
    contents = repository.blobs([*names, absent, "HEAD:run.sh", "HEAD:absent"])
    assert contents["HEAD:run.sh"] == contents[found["run.sh"][1]] == b"two"
    assert contents[found["link"][1]] == b"run.sh"
    assert absent not in contents
    assert "HEAD:absent" not in contents
    assert repository.sizes([*names, absent]) == {name: len(contents[name]) for name in names}
    assert repository.blobs([]) == {}
    assert repository.sizes([]) == {}


def test_what_went_wrong_is_told(repository: Git) -> None:
    with pytest.raises(GitError, match=r"git rev-parse in .*Needed a single revision"):
        repository("rev-parse", "--verify", "nothing")
    for folder in (repository.folder / "absent", repository.folder / "run.sh"):
        with pytest.raises(GitError, match=r"absent|run\.sh"):
            Git(folder)("status")
    with pytest.raises(GitError, match="null"):
        repository("rev-parse", "a\0b")


def test_inside_a_hook(repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook has variables that name its own repository."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    inside = Git(repository.folder)
    assert inside.text("rev-parse", "--show-toplevel") == str(repository.folder)
    assert "run.sh" in inside.text("ls-files")


def test_to_look_changes_nothing(repository: Git) -> None:
    os.utime(repository.folder / "run.sh", (1, 1))  # git would note that it is the same
    index = repository.folder / ".git/index"
    before = index.read_bytes()
    assert repository.text("status", "--porcelain") == ""
    assert index.read_bytes() == before
    subprocess.run(["git", "status"], cwd=repository.folder, check=True, capture_output=True)
    assert index.read_bytes() != before


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ("git version 2.38.0", None),
        ("git version 2.39.5 (Apple Git-154)", None),
        ("git version 2.45.1.windows.1", None),
        ("git version 3.0.0", None),
        ("git version 2.37.7", r"git is 2\.37\.7: merging needs 2\.38"),
        ("git version 1.8.3.1", r"git is 1\.8\.3\.1: merging needs 2\.38"),
        ("fish", "git is fish"),
        (None, "not to be found"),
    ],
)
def test_the_oldest_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str | None, error: str | None
) -> None:
    if says:
        fake = tmp_path / "git"
        fake.write_text(f"#!/bin/sh\necho '{says}'\n")
        fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    require.cache_clear()
    try:
        if error is None:
            require()
        else:
            with pytest.raises(FactoryError, match=error):
                require()
    finally:
        require.cache_clear()
