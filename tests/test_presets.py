"""Presets: files of answers, what they render, and how a project goes from one to the next."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trees
import yaml
from conftest import ROOT, Project
from copier import run_copy

from factory.fleet import Member
from factory.template import Template
from factory.update import How, update

PRESETS = ROOT / "presets"
STEPS = ("starter", "standard", "enterprise")
WHO = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
# Edits of a team: in files of its own, of the template's, and of both.
EDITS = {
    "src/flight_delays/model.py": "\n# The team's own.\n",
    "params.yaml": "# The team's own.\n",
    "docs/team/design.md": "\nThe team's own.\n",
    "Makefile": "\nours:\n\t@echo ours\n",
    "src/mlops/gates.py": "\n# The team's own.\n",
    ".github/workflows/quality.yml": "# The team's own.\n",
    "environments/prod.yaml": "    # The team's own.\n",
}


def read(path: Path) -> dict[str, Any]:
    """Return the answers of a file."""
    answers: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return answers


def preset(kind: str, name: str) -> dict[str, Any]:
    return read(PRESETS / kind / f"{name}.yaml")


def names(kind: str) -> list[str]:
    return sorted(path.stem for path in (PRESETS / kind).glob("*.yaml"))


def wrong(answers: dict[str, Any]) -> Iterator[str]:
    """Yield what is no answer to a question with choices."""
    for name, value in answers.items():
        if name not in trees.ASKED or "choices" not in trees.ASKED[name]:
            yield f"{name}: no question with choices"
        elif not set(value if isinstance(value, list) else [value]) <= set(trees.choices(name)):
            yield f"{name}: {value}"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *WHO, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


# What they are ----------------------------------------------------------------
def test_the_kinds_are_there() -> None:
    assert {path.name for path in PRESETS.iterdir()} == {"pattern", "maturity"}
    assert names("pattern") == sorted(trees.choices("serving"))
    assert names("maturity") == sorted(STEPS)


@pytest.mark.parametrize("path", sorted(PRESETS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_answer_is_a_choice(path: Path) -> None:
    assert not list(wrong(read(path)))


def test_what_is_no_choice_is_reported() -> None:
    said = list(wrong({"serving": ["online", "offline"], "team": "x", "provider": "ibm", "x": 1}))
    assert [line.split(":")[0] for line in said] == ["serving", "team", "provider", "x"]


def test_a_pattern_and_a_step_answer_different_questions() -> None:
    patterns = {name for one in names("pattern") for name in preset("pattern", one)}
    steps = [set(preset("maturity", one)) for one in STEPS]
    assert steps[0] == steps[1] == steps[2], "a step would leave the answer of the one before"
    assert not patterns & steps[0], "they could not be put together"


def test_every_answer_of_a_step_makes_a_difference() -> None:
    steps = [preset("maturity", one) for one in STEPS]
    for name in steps[0]:
        assert steps[0][name] != steps[1][name] or steps[1][name] != steps[2][name], name


@pytest.mark.parametrize("provider", trees.choices("provider"))
def test_the_highest_step_goes_with_every_platform(provider: str) -> None:
    """As its comment says: with the registry of the provider, where there is one."""
    own = [name for name, row in trees.SUPPORT["registry"].items() if provider in row["providers"]]
    answers = preset("maturity", "enterprise") | {"provider": provider}
    answers["registry"] = own[0] if own else "mlflow"
    if provider == "local":
        answers["training"] = "runner"
    assert trees.answers_of(trees.rendered(**answers))["oversight"] == "regulated"


# What they render -------------------------------------------------------------
@pytest.mark.parametrize(("pattern", "step"), [*zip(names("pattern"), STEPS, strict=True)])
def test_the_two_put_together_are_a_file_of_answers(
    pattern: str, step: str, tmp_path: Path
) -> None:
    paths = [PRESETS / "pattern" / f"{pattern}.yaml", PRESETS / "maturity" / f"{step}.yaml"]
    together = yaml.safe_load("".join(path.read_text(encoding="utf-8") for path in paths))
    tree = trees.rendered(**together)
    recorded = trees.answers_of(tree)
    assert {name: recorded[name] for name in together} == together


@pytest.mark.parametrize("pattern", names("pattern"))
def test_each_pattern_has_gates_and_champion_and_challenger(pattern: str) -> None:
    tree = trees.rendered(**preset("pattern", pattern))
    gates = yaml.safe_load((tree / "gates.yaml").read_text(encoding="utf-8"))
    assert gates["champion"]["tolerance"] >= 0
    for name, text in {
        "src/mlops/gates.py": "champions: dict[int, Path]",
        "tests/unit/test_gates.py": "champion.loss",
        "src/mlops/candidate.py": "set_alias(CHALLENGER",
        "tests/unit/test_candidate.py": "challenger",
        "src/mlops/registry/base.py": "set_alias(champion(environment)",
        "tests/unit/test_registry.py": "champion-dev",
    }.items():
        assert text in (tree / name).read_text(encoding="utf-8"), name
    targets = (tree / "Makefile").read_text(encoding="utf-8")
    for target in ("candidate:", "register", "release", "rollback"):
        assert target in targets


@pytest.mark.nightly
@pytest.mark.parametrize(
    "pattern",  # the default project, which other tests run, answers online
    ["batch", "edge", "online"],
)
def test_gates_and_aliases_of_each_pattern_pass_their_tests(
    pattern: str, installed: Project, tmp_path: Path
) -> None:
    tree = trees.copy(tmp_path / "flight-delays", **preset("pattern", pattern))
    shutil.copy(installed.root / "uv.lock", tree)
    tests = [f"tests/unit/test_{name}.py" for name in ("gates", "registry", "release")]
    said = Project(tree, installed.environment).run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests
    )
    assert " passed" in said


# From step to step ------------------------------------------------------------
@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it lies, as a released version: an update renders by one's own rows."""
    folder = tmp_path_factory.mktemp("template") / "copier-mlops"
    shutil.copytree(trees.template(), folder)
    git(folder, "init")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--message", "Release")
    git(folder, "tag", "9.0.0")
    return folder


@pytest.fixture
def edited(source: Path, tmp_path: Path) -> Path:
    """A project of the first step, in which a team has worked."""
    project = tmp_path / "flight-delays"
    answers = preset("maturity", "starter")
    run_copy(str(source), project, data=answers, defaults=True, quiet=True)
    git(project, "init")
    git(project, "add", "--all")
    git(project, "commit", "--message", "Start")
    for name, line in EDITS.items():
        with (project / name).open("a", encoding="utf-8") as file:
            file.write(line)
    git(project, "commit", "--all", "--message", "Edit")
    return project


def reached(project: Path, step: str) -> None:
    """Assert that a project is what a step asks for, and that nothing of the team's is lost."""
    recorded, wanted = trees.answers_of(project), preset("maturity", step)
    assert {name: recorded[name] for name in wanted} == wanted
    there = {path.stem for path in (project / "environments").glob("*.yaml")}
    assert there == set(wanted["environments"])
    for name, line in EDITS.items():
        assert line.strip("\n") in (project / name).read_text(encoding="utf-8"), name
    clashes = git(project, "ls-files", "--unmerged").splitlines()
    for name, path in trees.files(project):
        if not name.startswith(".git/") and path.suffix not in (".parquet", ".ipynb"):
            text = path.read_text(encoding="utf-8")
            clashes += [name] if path.suffix == ".rej" or "\n<<<<<<< " in text else []
    assert not clashes


def test_copier_raises_a_project_step_by_step(edited: Path) -> None:
    for step in STEPS[1:]:
        command = [sys.executable, "-m", "copier", "update", "--quiet", "--defaults", "--data-file"]
        subprocess.run([*command, str(PRESETS / f"maturity/{step}.yaml")], cwd=edited, check=True)
        git(edited, "add", "--all")
        reached(edited, step)
        git(edited, "commit", "--message", step)
    # What is written once does not come by an update of Copier's; without it nothing is released.
    assert not (edited / "docs/team/controls.yaml").exists()


def test_the_factory_raises_a_project_step_by_step(edited: Path, source: Path) -> None:
    member, template = Member(source=str(edited)), Template.open(str(source))
    for step in STEPS[1:]:
        outcome = update(member, template, data=preset("maturity", step), how=How.COMMIT)
        assert (outcome.state, outcome.conflicts) == ("updated", ()), outcome.reason
        reached(edited, step)
    assert "signed_by" in (edited / "docs/team/controls.yaml").read_text(encoding="utf-8")


def test_a_step_that_a_team_stands_in_the_way_of_is_refused(edited: Path, source: Path) -> None:
    """That nothing is lost is no matter of chance: the same lines are a conflict, and told."""
    prod = edited / "environments/prod.yaml"
    prod.write_text(prod.read_text(encoding="utf-8").replace("approvals: 1", "approvals: 3"))
    git(edited, "commit", "--all", "--message", "More")
    outcome = update(
        Member(source=str(edited)),
        Template.open(str(source)),
        data=preset("maturity", "enterprise"),
        how=How.COMMIT,
    )
    assert outcome.state == "conflicts"
    assert [one.path for one in outcome.conflicts] == ["environments/prod.yaml"]
    assert git(edited, "status", "--porcelain") == ""
