"""Rendering in-process, and one generated project, installed once, that tests take copies of."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from copier import run_copy

ROOT = Path(__file__).parents[1]
# The pipeline that runs these tests is not one of a generated project's.
for name in ("CI", "TF_BUILD"):
    os.environ.pop(name, None)

pytest.register_assert_rewrite("scenario")

Render = Callable[..., Path]


def render(target: Path, **answers: Any) -> Path:
    """Render the working copy of the template into ``target``."""
    run_copy(
        str(ROOT),
        target,
        data=answers,
        vcs_ref="HEAD",
        defaults=True,
        overwrite=True,
        quiet=True,
    )
    return target


class Project:
    """A generated project, and a Python environment that may belong to another copy of it."""

    def __init__(self, root: Path, environment: Path) -> None:
        self.root, self.environment = root, environment

    def run(
        self, *command: str, fails: bool = False, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run a command in the project and return all that it prints.

        ``fails`` says which outcome is expected; the other one is an error.
        """
        path = f"{self.environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        settings = {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(self.root / "src"),
            "COLUMNS": "200",
            **(variables or {}),
        }
        settings.pop("PYTHONDONTWRITEBYTECODE", None)
        settings.pop("VIRTUAL_ENV", None)
        done = subprocess.run(
            command,
            cwd=self.root,
            env=settings,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert bool(done.returncode) == fails, (
            f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-4000:]}"
        )
        self.code = done.returncode
        return done.stdout

    def mlops(
        self, *arguments: str, fails: bool = False, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run ``mlops`` with the copy's own source."""
        return self.run("python", "-m", "mlops", *arguments, fails=fails, variables=variables)

    def commit(self, message: str = "Change") -> None:
        """Commit everything."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)

    def write(self, path: str, *replacements: tuple[str, str]) -> None:
        """Replace texts in a file; each must be there."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text, f"{path} has no {old!r}"
            text = text.replace(old, new)
        file.write_text(text, encoding="utf-8")

    def copy(self, target: Path) -> "Project":
        """Return a copy that shares this project's environment."""
        ignored = shutil.ignore_patterns(".venv", ".mypy_cache", ".ruff_cache", "build")
        shutil.copytree(self.root, target, symlinks=True, ignore=ignored)
        return Project(target, self.environment)


def start(root: Path, **answers: Any) -> Project:
    """Render a project into ``root``, commit it and install it."""
    render(root, **answers)
    project = Project(root, root / ".venv")
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.run("git", "config", "user.name", "Tester")
    project.run("git", "config", "user.email", "tester@example.com")
    project.commit("Start")
    project.run("make", "setup")
    project.commit("Lock")
    return project


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The default project, installed and committed; nothing has run in it. Do not change it."""
    return start(tmp_path_factory.mktemp("installed") / "flight-delays")


@pytest.fixture(scope="session")
def champion(installed: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy with four months of data and a registered champion. Do not change it."""
    project = installed.copy(tmp_path_factory.mktemp("champion") / "flight-delays")
    project.write("params.yaml", ("first: 2013-01", "first: 2013-04"), ("2013-08", "2013-07"))
    project.mlops("candidate")
    project.commit("First model")
    project.mlops("register")
    return project


@pytest.fixture(scope="session")
def versions(champion: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy with two registered versions; the first is dev's champion. Do not change it."""
    project = champion.copy(tmp_path_factory.mktemp("versions") / "flight-delays")
    project.write("params.yaml", ("max_depth: 6", "max_depth: 5"))
    project.mlops("candidate")
    project.commit("Second model")
    project.mlops("register")
    return project


@pytest.fixture
def fresh(installed: Project, tmp_path: Path) -> Project:
    """A copy of the installed project, free to be changed."""
    return installed.copy(tmp_path / "flight-delays")


@pytest.fixture
def trained(champion: Project, tmp_path: Path) -> Project:
    """A copy of the project with a champion, free to be changed."""
    return champion.copy(tmp_path / "flight-delays")
