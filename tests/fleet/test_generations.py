"""A project of the first release, brought to this one: for real, with what it then runs."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT, Project

from factory.fleet import Member
from factory.template import Template
from factory.update import How, update

pytestmark = pytest.mark.long

OURS = {  # what a team wrote: in the template's files, and in its own
    "src/mlops/report.py": (
        'for reading."""\n',
        'for reading."""\n# The team reads them on Mondays.\n',
    ),
    "src/flight_delays/features.py": ("CATEGORIES = ", "# The team knows them.\nCATEGORIES = "),
    "Makefile": ("\nhelp:", "\n# The team's word.\nhelp:"),
    "params.yaml": ("max_depth: 6", "max_depth: 5"),
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_project_of_the_first_release_works_at_this_one(tmp_path: Path) -> None:
    from copier import run_copy

    clone = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(clone))
    releases = tomllib.loads((ROOT / "releases.toml").read_text())["releases"]
    first = next(iter(releases))
    for name, commit in releases.items():
        git(clone, "tag", "--force", name, commit)
    git(clone, "tag", "99.0.0")  # what is committed here
    project = Project(tmp_path / "project", tmp_path / "project/.venv")
    run_copy(str(clone), project.root, vcs_ref=first, defaults=True, quiet=True)
    git(project.root, "init", "--quiet", "--initial-branch", "main")
    git(project.root, "config", "user.name", "Tester")
    git(project.root, "config", "user.email", "tester@example.com")
    project.commit("Start")
    for name, edit in OURS.items():
        project.write(name, edit)
    project.commit("Ours")

    member = Member(source=str(project.root))
    outcome = update(member, Template.open(str(clone)), how=How.COMMIT)
    assert (outcome.state, outcome.before, outcome.after) == ("updated", first, "99.0.0"), outcome
    assert not git(project.root, "status", "--porcelain")
    for name, (_, ours) in OURS.items():
        assert ours in (project.root / name).read_text()

    project.run("make", "setup")
    project.commit("Lock")
    for tier in ("lint", "types", "unit"):
        project.run("uv", "run", "mlops", "check", tier)
    project.run("make", "pipeline")
    shutil.rmtree(project.root / ".venv")
