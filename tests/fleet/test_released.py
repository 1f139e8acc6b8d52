"""Projects of every released version of this template, updated to the working copy of it."""

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from copier import run_copy, run_update
from scenario import commit, files, git, isolate

from factory.fleet import ANSWERS, Member
from factory.template import Template
from factory.update import How, Outcome, update

ROOT = Path(__file__).parents[2]
RELEASES = list(tomllib.loads((ROOT / "releases.toml").read_text())["releases"])
NEWEST = "999.0.0"
TEAM = (
    *("src/flight_delays/", "tests/flight_delays/", "notebooks/", "params.yaml", "gates.yaml"),
    *("docs/team/", "tests/system/consumer.json", "tests/system/upstream.json"),
)
NAME = {"project_name": "Flight delays", "package_name": "flight_delays"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the releases as tags, and the working copy as the newest."""
    root = tmp_path_factory.mktemp("template")
    folder = root / "template"
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, root)
        git(root, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder))
        for name, hash_ in tomllib.loads((ROOT / "releases.toml").read_text())["releases"].items():
            git(folder, "tag", "--force", name, hash_)
        git(folder, "rm", "--quiet", "-r", ".")
        listed = ("ls-files", "--cached", "--others", "--exclude-standard", "-z")
        for path in git(ROOT, *listed).split("\0")[:-1]:
            if (ROOT / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, folder / path)
        commit(folder)
        git(folder, "tag", NEWEST)
    return folder


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path / "settings")


def make(template: Path, target: Path, version: str, **answers: Any) -> None:
    """Make a project of a version by Copier."""
    data = NAME | answers
    run_copy(str(template), target, data, vcs_ref=version, defaults=True, quiet=True)


def factory_files(folder: Path) -> dict[str, tuple[bool, bytes]]:
    """Return what is not the team's."""
    return {path: one for path, one in files(folder).items() if not path.startswith(TEAM)}


def updated(template: Path, project: Path, **options: Any) -> Outcome:
    """Update and commit."""
    member = Member(source=str(project))
    return update(member, Template.open(str(template)), how=How.COMMIT, **options)


@pytest.fixture(scope="module")
def fresh(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project of the working copy."""
    target = tmp_path_factory.mktemp("fresh") / "project"
    make(template, target, NEWEST)
    return target


@pytest.mark.parametrize("version", RELEASES)
def test_from_every_release(template: Path, fresh: Path, tmp_path: Path, version: str) -> None:
    project = tmp_path / "project"
    make(template, project, version)
    git(project, "init", "--quiet")
    (project / "params.yaml").write_text("the team's: 1\n")
    makefile = (project / "Makefile").read_text()
    (project / "Makefile").write_text(f"# The team's first line.\n\n{makefile}")
    commit(project)
    outcome = updated(template, project)
    assert outcome.state == "updated", outcome
    assert (outcome.before, outcome.after) == (version, NEWEST)
    found, expected = factory_files(project), factory_files(fresh)
    assert found.pop("Makefile")[1].decode().startswith("# The team's first line.\n")
    del expected["Makefile"]
    assert found == expected
    assert (project / "params.yaml").read_text() == "the team's: 1\n"
    assert updated(template, project).state == "current"


def test_a_provider_switched_and_back(template: Path, fresh: Path, tmp_path: Path) -> None:
    project, other = tmp_path / "project", tmp_path / "other"
    shutil.copytree(fresh, project, symlinks=True)
    git(project, "init", "--quiet")
    (project / "src/flight_delays/mine.py").write_text("MINE = 1\n")
    commit(project)
    answers = {"provider": "aws", "registry": "sagemaker", "training": "job"}
    back = {name: yaml.safe_load((fresh / ANSWERS).read_text())[name] for name in answers}
    outcome = updated(template, project, data=answers)
    assert outcome.state == "updated", outcome
    make(template, other, NEWEST, **answers)
    assert factory_files(project) == factory_files(other)
    assert (project / "src/flight_delays/mine.py").exists()
    outcome = updated(template, project, data=back)
    assert outcome.state == "updated", outcome
    assert factory_files(project) == factory_files(fresh)


def test_copier_does_it_too(template: Path, fresh: Path, tmp_path: Path) -> None:
    """Untrusted, from the first release."""
    project = tmp_path / "project"
    make(template, project, RELEASES[0])
    git(project, "init", "--quiet")
    commit(project)
    run_update(project, defaults=True, overwrite=True, quiet=True)
    assert factory_files(project) == factory_files(fresh)


def test_the_releases_are_there() -> None:
    """A clone without history has no old versions to test."""
    done = subprocess.run(
        ["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "false", "git fetch --unshallow"
