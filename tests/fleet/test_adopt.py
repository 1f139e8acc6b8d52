"""The template laid over repositories that it did not make."""

import shutil
import subprocess
from pathlib import Path

import pytest
import trees
import yaml

from factory.adopt import adopt
from factory.errors import FactoryError, RefusedError
from factory.fleet import ANSWERS, Member
from factory.template import Template
from factory.update import How, update

WHO = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
THEIRS = {
    "README.md": "# Ours\n",
    ".gitignore": "*.lock\n/docs/\n",
    "src/churn/__init__.py": '"""Ours."""\n',
    "src/churn/model.py": "def fit(): ...\n",
    ".gitlab-ci.yml": "ours: {script: make}\n",
    "requirements.txt": "pandas\n",
    "notebooks/a b é.txt": "ours\n",
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder."""
    command = ["git", *WHO, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template as it lies, with two versions."""
    folder = tmp_path_factory.mktemp("template") / "copier-mlops"
    shutil.copytree(trees.template(), folder)
    git(folder, "init")
    for version in ("9.0.0", "9.1.0"):
        git(folder, "add", "--all", "--force")
        git(folder, "commit", "--message", version, "--allow-empty")
        git(folder, "tag", version)
        with (folder / "template/Dockerfile.jinja").open("a") as file:
            file.write("# A later line.\n")
    return Template.open(str(folder))


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A repository that has some of the files that the template has."""
    folder = tmp_path / "churn-of-customers"
    for name, text in THEIRS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--message", "Ours")
    return folder


def member(folder: Path) -> Member:
    return Member(source=str(folder))


def test_every_file_stays_and_the_rest_comes(theirs: Path, template: Template) -> None:
    done = adopt(member(theirs), template, to="9.0.0", data={"provider": "kubernetes"})
    for name, text in THEIRS.items():
        assert (theirs / name).read_text() == text
    added = git(theirs, "diff", "--cached", "--name-only", "--diff-filter=A", "-z").split("\0")[:-1]
    assert sorted(added) == sorted(done.added)
    assert git(theirs, "diff", "--cached", "--name-only", "--diff-filter=a") == ""
    assert {"Makefile", "src/churn/features.py", "src/mlops/project.py"} <= set(added)
    recorded = yaml.safe_load((theirs / ANSWERS).read_text())
    guessed = {"project_name": "Churn of customers", "package_name": "churn", "ci": "gitlab"}
    assert guessed | {"_commit": "9.0.0", "provider": "kubernetes"} == {
        name: recorded[name] for name in [*guessed, "_commit", "provider"]
    }


def test_what_stands_in_the_way_is_listed(theirs: Path, template: Template) -> None:
    done = adopt(member(theirs), template, data={"provider": "kubernetes"})
    reasons = {obstacle.path: obstacle.reason for obstacle in done.obstacles}
    rows = [one.reason for one in done.obstacles if one.path == ".gitignore"]
    assert "stayed as it is" in reasons["README.md"]
    assert "stayed as it is" in reasons[".gitlab-ci.yml"]
    assert "pyproject.toml" in reasons["requirements.txt"]
    assert "docs/data.md" in rows[1]
    assert "Makefile" not in reasons


def test_a_dry_run_says_the_same_and_changes_nothing(theirs: Path, template: Template) -> None:
    told = adopt(member(theirs), template, dry=True)
    assert git(theirs, "status", "--porcelain") == ""
    assert told == adopt(member(theirs), template)


def test_a_file_where_a_folder_is_needed_is_renamed_first(theirs: Path, template: Template) -> None:
    (theirs / "deploy").write_text("ours\n")
    git(theirs, "add", "--all")
    git(theirs, "commit", "--message", "A file")
    kubernetes = {"provider": "kubernetes"}
    told = adopt(member(theirs), template, data=kubernetes, dry=True)
    assert (
        "deploy is a file here"
        in {one.path: one.reason for one in told.obstacles}["deploy/slot.yaml"]
    )
    with pytest.raises(RefusedError, match=r"rename yours.*deploy is a file here"):
        adopt(member(theirs), template, data=kubernetes)
    assert git(theirs, "status", "--porcelain") == ""


def test_an_untracked_file_stays(theirs: Path, template: Template) -> None:
    (theirs / "Makefile").write_text("mine:\n")
    done = adopt(member(theirs), template)
    assert (theirs / "Makefile").read_text() == "mine:\n"
    assert "not known to git" in {one.path: one.reason for one in done.obstacles}["Makefile"]


def test_what_was_adopted_is_updated(theirs: Path, template: Template) -> None:
    adopt(member(theirs), template, to="9.0.0")
    git(theirs, "commit", "--message", "Adopt")
    outcome = update(member(theirs), template, how=How.COMMIT)
    assert (outcome.state, outcome.after) == ("updated", "9.1.0")
    assert (theirs / "Dockerfile").read_text().endswith("# A later line.\n")
    for name, text in THEIRS.items():
        assert (theirs / name).read_text() == text


def test_what_can_not_be_adopted(theirs: Path, template: Template, tmp_path: Path) -> None:
    with pytest.raises(FactoryError, match=r"no question is called registri; registry\?"):
        adopt(member(theirs), template, data={"registri": "gto"})
    with pytest.raises(FactoryError, match="version 3 is not in"):
        adopt(member(theirs), template, to="3")
    (theirs / "README.md").write_text("edited\n")
    with pytest.raises(RefusedError, match=r"not committed: README\.md"):
        adopt(member(theirs), template)
    git(theirs, "checkout", "README.md")
    assert git(theirs, "status", "--porcelain") == ""
    adopt(member(theirs), template)
    git(theirs, "commit", "--message", "Adopt")
    with pytest.raises(RefusedError, match="is a project of a template already"):
        adopt(member(theirs), template)
    with pytest.raises(RefusedError, match="no such folder"):
        adopt(member(tmp_path / "absent"), template)
