"""Readiness and maturity: of real renders, of others' repositories, and of hostile ones."""

import os
import re
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import trees
import yaml

from factory import assess, tools
from factory.assess import Assessment, Checklist
from factory.errors import FactoryError
from factory.files import LARGEST, Files
from factory.git import Git

FACTS: dict[str, Any] = {
    "ci.main": "green",
    "registry.champion.prod": 3,
    "monitoring.dashboard": "https://grafana.example.com/d/1",
    "rehearsed.rollback": "2026-11-01",
}
ENTERPRISE: dict[str, Any] = {
    "provider": "aws",
    "registry": "sagemaker",
    "training": "job",
    "oversight": "regulated",
    "environments": ["dev", "staging", "prod"],
    "contact": "ml@factory.test",
    "team": "flights",
}
PROSE = "What it is for, what it is not for, on which data, and how good it is. " * 10


def of_folder(tree: Path, facts: dict[str, Any] | None = None) -> Assessment:
    known = (tree / trees.ANSWERS).is_file()
    answers = trees.answers_of(tree) if known else {}
    return assess.assess("it", answers=answers, files=Files.of_folder(tree), facts=facts)


def state(of: Assessment, practice: str) -> str:
    return next(item.state for item in of.items if item.practice.id == practice)


def seen(of: Assessment, practice: str) -> str:
    return next(item.seen for item in of.items if item.practice.id == practice)


def settled(tree: Path) -> Path:
    """Do what a team does after `copier copy`: lock, train, commit, and fill in what is its own."""
    (tree / "uv.lock").write_text("version = 1\n", encoding="utf-8")
    (tree / "dvc.lock").write_text("schema: '2.0'\nstages: {train: {cmd: x}}\n", encoding="utf-8")
    for name in ("model-card.md", "data-sheet.md", "runbook.md"):
        (tree / "docs/team" / name).write_text(f"# It\n\n{PROSE}\n", encoding="utf-8")
    review = tree / "docs/team/kick-off.yaml"
    answered = review.read_text().replace('found: ""', "found: none, looked in the portfolio")
    review.write_text(answered.replace('answered_by: ""', "answered_by: A. Meyer"))
    params = tree / "params.yaml"
    params.write_text(params.read_text().replace('hypothesis: ""', "hypothesis: H1"))
    for path in (tree / "environments").iterdir():
        text = path.read_text().replace("000000000000", "123456789012")
        path.write_text(text.replace("sqlite:///mlflow.db", "https://mlflow.factory.test"))
    controls = tree / "docs/team/controls.yaml"
    if controls.exists():
        text = controls.read_text().replace('signed_by: ""', "signed_by: A. Meyer")
        controls.write_text(text.replace('date: ""', "date: 2026-11-01"))
    return tree


@pytest.fixture
def enterprise(tmp_path: Path) -> Path:
    return settled(shutil.copytree(trees.rendered(**ENTERPRISE), tmp_path / "enterprise"))


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    return settled(shutil.copytree(trees.rendered(), tmp_path / "starter"))


# Levels ----------------------------------------------------------------------


def test_a_starter_and_an_enterprise_differ(starter: Path, enterprise: Path) -> None:
    small, large = of_folder(starter, FACTS), of_folder(enterprise, FACTS)
    assert (small.level, large.level) == (1, 3)
    assert {item.practice.id for item in small.next} == {"data-storage", "owners"}
    # Nothing watches for drift yet.
    assert {item.practice.id for item in large.next} == {"drift", "signals"}
    assert small.readiness("team") < large.readiness("team") == 1
    assert large.readiness("release") == 1


def test_without_facts_a_level_is_not_given_but_said_to_be_possible(enterprise: Path) -> None:
    bare = of_folder(enterprise)
    assert (bare.level, bare.possible) == (2, 3)
    assert state(bare, "main-green") == state(bare, "champion") == "unknown"
    assert bare.readiness("release") < 1
    wrong = of_folder(enterprise, FACTS | {"ci.main": "red"})
    assert (wrong.level, wrong.possible) == (2, 2)
    assert seen(wrong, "main-green") == "the fact ci.main is red"


def _empty(tree: Path, name: str) -> None:
    (tree / name).write_text("", encoding="utf-8")


def _swap(tree: Path, name: str, old: str, new: str) -> None:
    text = (tree / name).read_text(encoding="utf-8")
    assert old in text
    (tree / name).write_text(text.replace(old, new), encoding="utf-8")


def _remarks(tree: Path) -> None:
    for path in (tree / "tests/flight_delays").glob("*.py"):
        path.write_text("".join(f"# {line}" for line in path.open()))


Plant = Callable[[Path], object]


def _swapped(name: str, old: str, new: str) -> Plant:
    return lambda tree: _swap(tree, name, old, new)


PROD, CARD, GATES = "environments/prod.yaml", "docs/team/model-card.md", "gates.yaml"
# What is done, which practice misses it, and the level that is left of 3.
FAULTS: dict[str, tuple[Plant, str, int]] = {
    "no tests of the team": (lambda t: shutil.rmtree(t / "tests/flight_delays"), "tests", 0),
    "tests commented out": (_remarks, "tests", 0),
    "no pipelines": (lambda t: shutil.rmtree(t / ".github/workflows"), "integration", 0),
    "no lock": (lambda t: (t / "uv.lock").unlink(), "locked", 1),
    "a gate away": (_swapped(GATES, "champion:", "former:"), "comparison", 1),
    "a gate wide open": (_swapped(GATES, "tolerance: 0.01", "tolerance: 9"), "comparison", 1),
    "a limit of no number": (
        _swapped(GATES, "tolerance: 0.01", "tolerance: .nan"),
        "comparison",
        1,
    ),
    "no limit of a metric": (_swapped(GATES, "{ max: 0.20 }", "{}"), "limits", 1),
    "no schedule": (_swapped(".github/workflows/retrain.yml", "cron:", "# cron:"), "retraining", 1),
    "storage of one machine": (_swapped(".dvc/config", "s3://", "../../"), "data-storage", 1),
    "a placeholder owner": (_swapped("CODEOWNERS", "* @flights", "* @ml-team"), "owners", 1),
    "nobody agrees": (_swapped(PROD, "approvals: 2", "approvals: 0"), "approval", 2),
    "approvals: yes": (_swapped(PROD, "approvals: 2", "approvals: yes"), "approval", 2),
    "unprotected": (_swapped(PROD, "protected: true", "protected: false"), "approval", 2),
    "a placeholder account": (_swapped(PROD, "123456789012", "000000000000"), "production", 2),
    "no rollback": (_swapped("Makefile", "rollback", "undo"), "rollback", 2),
    "no review": (_swapped(".github/rulesets/main.json", '_count": 1', '_count": 0'), "review", 2),
    "an empty model card": (lambda t: _empty(t, CARD), "model-card", 3),
    "a card of remarks": (lambda t: (t / CARD).write_text(f"<!-- {PROSE} -->"), "model-card", 3),
    "a card still to do": (_swapped(CARD, "# It", "# TODO"), "model-card", 3),
    "an unsigned control": (
        _swapped(
            "docs/team/controls.yaml", 'dependencies", signed_by: A. Meyer', '", signed_by: ""'
        ),
        "controls",
        3,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_taken_away_is_missed(enterprise: Path, fault: str) -> None:
    plant, practice, level = FAULTS[fault]
    good = of_folder(enterprise, FACTS)
    assert state(good, practice) == "held"
    plant(enterprise)
    bad = of_folder(enterprise, FACTS)
    assert state(bad, practice) != "held"
    assert bad.level == level
    for scope in ("team", "release"):
        asked = next(i.practice for i in bad.items if i.practice.id == practice).readiness
        if scope in asked:
            assert bad.readiness(scope) < good.readiness(scope)


@pytest.mark.parametrize(
    ("ci", "serving"),
    [("github", ["batch"]), ("gitlab", ["online", "batch"]), ("azure-devops", ["edge"])],
)
def test_every_dialect_is_understood(tmp_path: Path, ci: str, serving: list[str]) -> None:
    answers = ENTERPRISE | {"ci": ci, "serving": serving}
    tree = settled(shutil.copytree(trees.rendered(**answers), tmp_path / "project"))
    found = of_folder(tree, FACTS | {"main.reviews": 1})
    assert found.level == 3, [(item.practice.id, item.seen) for item in found.next]
    assert ("strategy" in {item.practice.id for item in found.items}) == ("online" in serving)


@pytest.mark.parametrize("provider", ["azure", "aws", "gcp", "kubernetes"])
def test_a_providers_placeholders_are_no_production(provider: str) -> None:
    fresh = of_folder(trees.rendered(**trees.BASE | {"provider": provider}))
    assert state(fresh, "production") == "missing"
    assert "environments/prod.yaml still has" in seen(fresh, "production")


# Others' repositories --------------------------------------------------------


def test_a_repository_of_another_layout_gets_a_level_and_names_what_is_missing() -> None:
    bare = assess.assess("x", answers={}, files=Files.of({}))
    assert (bare.level, bare.possible, bare.team) == (0, 0, "unknown")
    assert all(item.state != "held" and item.seen for item in bare.items)
    other = {
        "test/test_model.py": "def test_it(): ...\n",
        "churn/test_x.py": "def test_it(): ...\n",
        ".github/workflows/ci.yml": "on: push\njobs: {t: {steps: [{run: pytest}]}}\n",
        "setup.cfg": "[flake8]\n",
        "Snakefile": "rule all:\n",
        "poetry.lock": "x",
    }
    found = assess.assess("x", answers={}, files=Files.of(other))
    assert found.level == 1
    assert state(found, "locked") == "held"
    assert {"training", "limits", "owners"} <= {item.practice.id for item in found.next}
    assert all(finding.fix for finding in found.findings())


def test_a_finding_is_a_warning_for_the_next_level_and_a_note_beyond(starter: Path) -> None:
    found = {one.rule: one for one in of_folder(starter).findings()}
    assert found["practice.owners"].level == "warning"
    assert (found["practice.owners"].path, found["practice.owners"].line) == ("CODEOWNERS", 1)
    assert found["practice.drift"].level == found["practice.main-green"].level == "note"


# Hostile repositories --------------------------------------------------------


def test_nothing_is_followed_out_of_the_tree_and_nothing_large_is_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "gates.yaml").write_text("absolute: {loss: {max: 1}}\n")
    (outside / "test_x.py").write_text("def test_it(): ...\n")
    tree = tmp_path / "tree"
    (tree / "docs/team").mkdir(parents=True)
    (tree / "gates.yaml").symlink_to(outside / "gates.yaml")
    (tree / "tests").symlink_to(outside)
    (tree / "loop").symlink_to(tree)
    os.mkfifo(tree / "CODEOWNERS")
    with (tree / "dvc.yaml").open("wb") as file:
        file.truncate(1_000_000_000)
    (tree / "docs/team/model-card.md").write_bytes(b"\x89PNG\r\n" * 1000)
    (tree / "docs/team/runbook.md").write_text("a" * (LARGEST + 1))
    (tree / "params.yaml").write_text("[" * 100_000)
    found = of_folder(tree)
    assert found.level == 0
    assert not [item.practice.id for item in found.items if item.state == "held"]
    assert found.unreadable["gates.yaml"] == "is a link, or no regular file, and is not followed"
    assert "1,000,000,000 bytes" in found.unreadable["dvc.yaml"]
    assert found.unreadable["docs/team/model-card.md"] == "is no text in UTF-8"
    findings = [one for one in found.findings() if one.rule == "unreadable"]
    assert {one.path for one in findings} == set(found.unreadable)


def test_long_lines_are_no_work_for_regular_expressions() -> None:
    files = {
        ".github/workflows/a.yml": "run: " + "make " * 50_000,
        ".dvc/config": "url = " * 40_000,
        "environments/prod.yaml": "tracking_uri: " + "http" * 50_000,
    }
    found = assess.assess("x", answers={"contact": "@ " * 45_000}, files=Files.of(files))
    assert state(found, "training") == state(found, "contact") == "missing"
    (tool,) = tools.tools(Files.of({"Dockerfile": "FROM " + "a" * 200_000}))
    assert tool.name == "a" * 200


@pytest.mark.parametrize(
    "answer", ["../../etc", "*", "unit/*", "**", "", 7, None, ["a"], {"a": 1}, "a" * 9999]
)
def test_strange_answers_are_no_way_out(answer: Any) -> None:
    names = ("package_name", "team", "serving", "oversight", "contact", "registry")
    files = Files.of({"tests/unit/test_a.py": "def test_a(): ...\n"})
    assert state(assess.assess("x", answers={}, files=files), "tests") == "held"
    found = assess.assess("x", answers=dict.fromkeys(names, answer), files=files)
    assert state(found, "tests") == "missing"


def test_a_tree_in_git_is_read_without_a_checkout(tmp_path: Path, enterprise: Path) -> None:
    (enterprise / "gates.link").symlink_to("/etc/passwd")
    git = Git(enterprise)
    git("init", "--quiet", "--initial-branch", "main")
    git("add", "--all", "--force")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "x")
    bare = tmp_path / "bare.git"
    Git(tmp_path)("clone", "--quiet", "--bare", str(enterprise), str(bare))
    files = Files.of_tree(Git(bare), "HEAD")
    found = assess.assess("it", answers=trees.answers_of(enterprise), files=files, facts=FACTS)
    assert found == of_folder(enterprise, FACTS)


# Services --------------------------------------------------------------------


def test_every_stage_has_a_service_for_every_answer_and_it_is_the_answers() -> None:
    names = {"azure": "Azure|GitHub|GitLab", "aws": "Amazon|SageMaker", "gcp": "Google|Vertex"}
    asked = ("ci", "registry", "training", "provider")
    seen = set()
    for values in product(*(trees.choices(name) for name in asked)):
        answers = trees.BASE | dict(zip(asked, values, strict=True))
        if not trees.supported(answers):
            continue
        found = assess.services(answers | {"serving": ["online", "batch", "edge"]})
        assert set(found) == set(assess.services(trees.BASE))
        assert "not asked for" not in found.values()
        if pattern := names.get(answers["provider"]):
            for stage in ("data", "online"):
                assert re.search(pattern, found[stage])
        seen |= set(found.values())
    # No row is in vain.
    rows = yaml.safe_load(assess.SERVICES.read_text())
    assert {row["service"] for stage in rows.values() for row in stage} - seen == {"not asked for"}
    for stage in ("online", "batch", "edge"):
        assert assess.services(trees.BASE | {"serving": []})[stage] == "not asked for"


# The checklist ---------------------------------------------------------------


def test_every_level_but_the_first_has_practices_and_every_pattern_a_meaning() -> None:
    given = assess.checklist()
    assert sorted(given.levels) == [0, 1, 2, 3, 4]
    assert {practice.level for practice in given.practices} == {1, 2, 3, 4, None}
    for practice in given.practices:
        assert practice.level or practice.readiness, f"{practice.id} is asked by nothing"
    questions = trees.ASKED
    for practice in given.practices:
        assert set(practice.when) <= set(questions)
        for evidence in practice.evidence:
            for one in [evidence, *(evidence.any or ())]:
                assert one.answer is None or one.answer in questions


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"evidence": [{"fil": ["a"]}]}, "fil is not known; nearest is file"),
        ({"evidence": [{"file": ["a"], "fact": "b"}]}, "not file, fact"),
        ({"evidence": [{"file": ["a"], "has": "("}]}, "no regular expression"),
        ({"evidence": []}, "evidence"),
        ({"level": 5}, "level"),
    ],
)
def test_a_checklist_that_cannot_be_meant_is_refused(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    one = {"id": "a", "title": "A", "level": 1, "evidence": [{"file": ["a"]}], "fix": "b"}
    path = tmp_path / "practices.yaml"
    whole = {"source": "x", "levels": {0: "a", 1: "b"}, "practices": [one]}
    path.write_text(yaml.safe_dump(whole))
    assert isinstance(assess.checklist(path), Checklist)
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(whole | {"practices": [one | change]}))
    with pytest.raises(FactoryError) as raised:
        assess.checklist(other)
    assert told in str(raised.value)


def test_facts_are_by_repository_and_a_fact_that_nobody_asks_for_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "facts.yaml"
    path.write_text(
        "churn:\n  ci: {main: green}\n  registry: {champion: {prod: 3}}\n"
        "  rehearsed: {rollback: 2026-11-01}\n  main.reviews: 1\n"
    )
    assert assess.load_facts(path) == {
        "churn": {
            "ci.main": "green",
            "registry.champion.prod": 3,
            "rehearsed.rollback": "2026-11-01",
            "main.reviews": 1,
        }
    }
    path.write_text("churn: {ci: {man: green}}\n")
    with pytest.raises(FactoryError, match=r"no practice asks for ci\.man; nearest is ci\.main"):
        assess.load_facts(path)
