"""A project is found where it is said to be, and its answers are read as data."""

from pathlib import Path

import pytest
from scenario import BINARY, Scenario, commit, git

from factory.errors import RefusedError
from factory.fleet import ANSWERS, Member
from factory.repository import Repository

pytest_plugins = ["scenario"]


def opened(folder: Path, **options: str) -> Repository:
    """Open a folder."""
    return Repository.open(Member(source=str(folder), **options))  # type: ignore[arg-type]


def test_a_project(scenario: Scenario) -> None:
    repository = opened(scenario.project)
    assert (repository.subfolder, repository.bare) == ("", False)
    assert repository.version == "1.0.0"
    assert repository.answers["provider"] == "local"
    assert repository.files["run.sh"][0] == "100755"
    # What is committed counts, not what lies there.
    (scenario.project / ANSWERS).write_text("_commit: 9.9.9\n")
    assert opened(scenario.project).version == "1.0.0"


@pytest.mark.parametrize("name", ["sub", " a b ", "new\nline", "[x]*"])
def test_a_subfolder(scenario: Scenario, name: str) -> None:
    """By a path into the repository, by a path and a subfolder, and through a link."""
    mono = scenario.root / "mono"
    (mono / "deep").mkdir(parents=True)
    git(mono, "init", "--quiet")
    scenario.start(mono / "deep" / name)
    commit(mono)
    link = scenario.root / "link"
    link.symlink_to(mono / "deep" / name)
    for one in (
        opened(mono / "deep" / name),
        opened(mono, subfolder=f"deep/{name}"),
        opened(mono / "deep", subfolder=name),
        opened(link),
    ):
        assert one.git.folder == mono
        assert one.subfolder == f"deep/{name}/"
        assert one.version == "1.0.0"
    with pytest.raises(RefusedError, match="no folder"):
        _ = opened(mono, subfolder="deep/none").answers


def test_by_address(scenario: Scenario) -> None:
    """By a mirror, which is brought up to date each time."""
    member = Member(source=scenario.project.as_uri())
    first = Repository.open(member)
    assert (first.bare, first.version) == (True, "1.0.0")
    scenario.edit({"mine.txt": "mine"})
    assert "mine.txt" in Repository.open(member).files
    with pytest.raises(RefusedError, match="absent"):
        Repository.open(Member(source=(scenario.root / "absent").as_uri()))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (BINARY, "can't be read"),
        ("a: [", "can't be read"),
        ("- a\n", "no _commit"),
        ("", "no _commit"),
        ("_commit: 1.0\n", "no _commit"),
        ("_commit: [1.0.0]\n", "no _commit"),
        ("a: " + "[" * 40_000, "can't be read"),
        ("_commit: 1.0.0\nx: " + "x" * 100_001, "100 kB"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n_commit: 1.0.0\n", "alias"),
        ("_commit: !!python/object/apply:os.system ['touch canary']\n", "can't be read"),
        (None, "no .copier-answers.yml is committed"),
    ],
)
def test_answers_that_are_none(scenario: Scenario, content: str | bytes | None, error: str) -> None:
    scenario.edit({ANSWERS: content})
    with pytest.raises(RefusedError, match=error):
        _ = opened(scenario.project).answers
    scenario.refused(error)


def test_answers_that_are_a_link(scenario: Scenario) -> None:
    (scenario.project / ANSWERS).unlink()
    (scenario.project / ANSWERS).symlink_to("/etc/passwd")
    scenario.edit()
    with pytest.raises(RefusedError, match="is a link"):
        _ = opened(scenario.project).answers


def test_a_working_tree_that_is_elsewhere(scenario: Scenario) -> None:
    other = scenario.root / "other"
    other.mkdir()
    for folder in (other, scenario.root):
        git(scenario.project, "config", "core.worktree", str(folder))
        with pytest.raises(RefusedError, match="another folder"):
            opened(scenario.project)


def test_another_hash(scenario: Scenario) -> None:
    folder = scenario.root / "sha256"
    folder.mkdir()
    git(folder, "init", "--quiet", "--object-format=sha256")
    commit(folder)
    with pytest.raises(RefusedError, match="SHA-256"):
        opened(folder)
