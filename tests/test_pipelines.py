"""Pipelines are valid on their platform, the same on all three, and safe; every check can fail."""

import json
import shutil
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import npm
import pytest
import trees
from conftest import ROOT
from jinja2 import Environment, meta
from linters import LINTERS
from pipelines import Pipelines, differences, read
from rules import CONTRACT, RULES, mapped, variables_of

PLATFORMS = trees.choices("ci")
FILES = [".github", ".gitlab", ".gitlab-ci.yml", "azure-pipelines", ".azuredevops", "renovate.json"]
# The answers that pipelines are made of. Of the environments: none, one, two and all between.
ENVIRONMENTS = [trees.values("environments")[number] for number in (0, 2, 5, -1)]
VALUES: dict[str, list[Any]] = {
    "environments": ENVIRONMENTS,
    "serving": [["online", "batch"], ["batch"]],
    "project_slug": trees.TEXTS["project_slug"],
}
for name in ("registry", "promotion", "pr_training", "retrain", "oversight", "python_version"):
    VALUES[name] = trees.values(name)
# Tags are pushed for the latter two.
TAGS = [("mlflow", "deploy-model"), ("mlflow", "deploy-code"), ("gto", "deploy-model")]
# A file is made of one of them, or of two with these.
COMBINATIONS = [
    {name: values[number % len(values)] for name, values in VALUES.items()}
    | dict(registry=registry, promotion=promotion)
    for registry, promotion in TAGS
    for number, _ in enumerate(ENVIRONMENTS)
]


def test_every_file_is_rendered_in_every_way() -> None:
    environment = Environment(extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"])
    root = trees.template() / "template"
    made = {path.relative_to(root): path for path in root.rglob("*.jinja")}
    made = {name: made[name] for name in made if name.parts[0].removesuffix(".jinja") in FILES}
    assert len(made) > len(PLATFORMS)
    for name, path in made.items():
        names = meta.find_undeclared_variables(environment.parse(path.read_text(encoding="utf-8")))
        # What is computed has as many values as what it is computed from.
        given = {"cron": "retrain", "tags_pushed": "registry"}
        used = sorted({given.get(n, n) for n in names} - {*trees.TEXTS})
        rows = [[row[n] for n in used] for row in COMBINATIONS]
        missing = [way for way in product(*(VALUES[n] for n in used)) if [*way] not in rows]
        assert not missing, f"{name} is made of {used}"


# Linters ----------------------------------------------------------------------
def linted(tree: Path, target: Path) -> Path:
    """Copy what linters read of a project to a repository of its own."""
    (target / ".git").mkdir(parents=True)
    for name in (name for name in [*FILES, ".ci"] if (tree / name).exists()):
        copy = shutil.copytree if (tree / name).is_dir() else shutil.copy
        copy(tree / name, target / name)
    for path in target.glob("azure-pipelines/variables/*.yml"):
        # Azure's schema has no templates of variables: as a pipeline it knows all that is in one.
        path.write_text(f"{path.read_text(encoding='utf-8')}steps: []\n", encoding="utf-8")
    return target


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What linters read of this repository, and of every combination on every platform."""
    root = tmp_path_factory.mktemp("pipelines")
    return [linted(ROOT, root / "own")] + [
        linted(trees.rendered(ci=platform, **row), root / f"{platform}-{number}")
        for platform in PLATFORMS
        for number, row in enumerate(COMBINATIONS)
    ]


def distinct(projects: list[Path], patterns: list[str]) -> list[Path]:
    """Return the files of these patterns, those with the same name and content once."""
    found: dict[tuple[Path, bytes], Path] = {}
    for project in projects:
        for path in (path for pattern in patterns for path in sorted(project.glob(pattern))):
            found.setdefault((path.relative_to(project), path.read_bytes()), path)
    return [*found.values()]


@pytest.mark.parametrize("name", LINTERS)
def test_linter_is_content(name: str, projects: list[Path]) -> None:
    files = distinct(projects, LINTERS[name].files)
    assert files
    assert not LINTERS[name].lint(files)


def test_node_packages_are_locked_and_name_no_registry() -> None:
    lock = json.loads((npm.SOURCE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    asked = json.loads((npm.SOURCE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert asked == {name: lock[f"node_modules/{name}"]["version"] for name in asked}
    assert all("integrity" in row and "resolved" not in row for name, row in lock.items() if name)


def test_whatever_zizmor_leaves_out_has_a_reason() -> None:
    text = (trees.rendered(ci="github") / ".github/zizmor.yml").read_text(encoding="utf-8")
    assert not [line for line in text.splitlines() if "disable" in line and " # " not in line]
    assert "ignore:" not in text


# A linter, a file, what is replaced in it by what, and what the linter must then say.
FOLDERS = {
    "github": ("github", ".github/workflows"),
    "gitlab": ("gitlab", ".gitlab/ci"),
    "azure": ("azure-devops", "azure-pipelines"),
}
PIN = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
CHECK = 'make check ARGS="lint types unit"'
LINTER_PLANTS = [
    ("schema of workflows", "github/quality", "timeout-minutes", "timeout", "timeout"),
    ("schema of actions", ".github/actions/setup/action.yml", "using:", "use:", "use"),
    ("schema of forms", ".github/ISSUE_TEMPLATE/bug.yml", "type: textarea", "type: area", "area"),
    (
        "schema of the form's choice",
        ".github/ISSUE_TEMPLATE/config.yml",
        "blank_",
        "blanc_",
        "anc_",
    ),
    ("schema of GitLab", "gitlab/quality", "script:", "skript:", "skript"),
    ("schema of Azure", "azure/steps/setup", "Cache@2", "Cash@2", "Cash@2"),
    ("schema of Renovate", "renovate.json", '"extends": [', '"extends": [1, ', "extends"),
    ("actionlint", "github/quality", "needs: check", "needs: chek", "does not exist"),
    ("actionlint", "github/quality", "fetch-depth", "fetch-dept", '"fetch-dept" is not defined'),
    ("actionlint", "github/quality", CHECK, "make check ARGS=$ARGS", "SC2086"),
    ("GitHub's parser", "github/integrate", "github.token", "githb.token", "named-value: 'githb'"),
    ("GitHub's parser", "github/tune", "43 2 *", "99 2 *", "Invalid cron"),
    (
        "Azure's language service",
        "azure/quality",
        "timeoutInMinutes",
        "timeout",
        "property timeout",
    ),
    ("zizmor", "github/quality", PIN, "actions/checkout@v7", "unpinned-uses"),
    ("zizmor", "github/quality", "persist-credentials: false", "lfs: false", "artipacked"),
    ("zizmor", "github/quality", "\npermissions: {}", "", "excessive-permissions"),
    ("zizmor", "github/quality", CHECK, "make ${{ github.head_ref }}", "template-injection"),
    ("shellcheck", "gitlab/quality", CHECK, "make check ARGS=$ARGS", "SC2086"),
    ("shellcheck", "azure/quality", CHECK, "make check ARGS=$ARGS", "SC2086"),
    ("shellcheck", ".github/actions/setup/action.yml", "make setup", "make $X", "SC2086"),
]


@pytest.mark.parametrize(("name", "file", "old", "new", "report"), LINTER_PLANTS)
def test_linter_reports(
    name: str, file: str, old: str, new: str, report: str, tmp_path: Path
) -> None:
    platform, path = place(file)
    project = linted(trees.rendered(ci=platform), tmp_path / "project")
    plant(project / path, old, new)
    assert any(report in line for line in LINTERS[name].lint([project / path]))


def place(file: str) -> tuple[str, str]:
    """Return the platform of a file, and where it is: a workflow is named after that."""
    if file.startswith(".gitlab"):
        return "gitlab", file
    folder, _, name = file.partition("/")
    platform, root = FOLDERS.get(folder, ("github", ""))
    return platform, f"{root}/{name}.yml" if root else file


def plant(path: Path, old: str, new: str) -> None:
    """Replace a text, once."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# The graph and the contract ---------------------------------------------------
@cache
def pipelines(platform: str, number: int = -1) -> Pipelines:
    """Return the pipelines of a combination, or of the default answers."""
    return read(trees.rendered(ci=platform, **COMBINATIONS[number] if number >= 0 else {}))


@pytest.mark.parametrize("number", range(len(COMBINATIONS)))
def test_platforms_do_the_same(number: int) -> None:
    first, *others = (pipelines(platform, number) for platform in PLATFORMS)
    assert not [line for other in others for line in differences(first, other)]


def faults(tree: Path) -> Iterator[str]:
    """Yield what breaks a rule of the graph or of the contract."""
    found = read(tree)
    for rule in RULES:
        yield from rule(found)
    for clause in CONTRACT:
        yield from clause(found, tree)


@pytest.mark.parametrize("number", range(len(COMBINATIONS)))
@pytest.mark.parametrize("platform", PLATFORMS)
def test_rules_hold(platform: str, number: int) -> None:
    assert not [*faults(trees.rendered(ci=platform, **COMBINATIONS[number]))]


def test_no_variable_is_left_over() -> None:
    variables = set(variables_of(trees.rendered()))
    assert variables == set().union(*(mapped(pipelines(platform)) for platform in PLATFORMS))


MANUAL = "[{ when: manual, allow_failure: false }]"
TOKEN = "env: { GITHUB_TOKEN: '${{ github.token }}' }"
AZURE_TOKEN = "env: { SYSTEM_ACCESSTOKEN: $(System.AccessToken) }"
# A file, what is replaced in it by what, and what must then be said to be wrong, or to differ.
GRAPH_PLANTS = [
    # A missing need.
    ("github/integrate", "needs: [train, security]", "needs: train", "integrate.register.needs: "),
    ("gitlab/quality", "needs: [check]", "needs: []", "quality.sample.needs: "),
    ("azure/quality", "dependsOn: check", "dependsOn: []", "quality.sample.needs: "),
    ("github/quality", "needs: check", "needs: chek", "quality.sample: needs chek, which is not"),
    # An approval that is dropped, asked for too late, or of no use.
    ("environments/prod.yaml", "approvals: 1", "approvals: 0", "prod: asks nobody"),
    ("gitlab/release", "when: manual", "when: on_success", "prod: waits for a"),
    ("gitlab/release", "allow_failure: false", "allow_failure: true", "prod: waits"),
    ("gitlab/data", "  timeout", f"  rules: {MANUAL}\n  timeout", "data.check: waits for"),
    # More than a job needs.
    ("github/quality", "contents: read", "contents: write", "quality.check: may "),
    ("github/quality", "permissions: {}", "permissions: { actions: read }", "quality: {'actions'"),
    ("github/quality", "\npermissions: {}", "", "quality: {'': 'all'}"),
    (
        "github/quality",
        "    steps:",
        f"    {TOKEN}\n    steps:",
        "quality.check: has a token: True",
    ),
    ("azure/quality", CHECK, f"{CHECK}\n        {AZURE_TOKEN}", "quality.check: has a token: True"),
    # What changes what others see, before anybody has agreed.
    ("github/quality", "make check ARGS=integration", "make deploy", "package: runs make deploy"),
    ("gitlab/candidate", "make ci-share", "make register", "candidate.train: runs make reg"),
    ("azure/data", "make data", "make release", "data.check: runs make rel"),
    # A way to production past staging.
    (
        "github/release",
        "needs: [plan, staging]",
        "needs: [plan, dev]",
        "prod: gets to prod past staging",
    ),
    ("gitlab/release", "needs: [plan, staging]", "needs: [plan]", "prod past dev"),
    ("azure/release", "after: [plan, staging]", "after: [plan, dev]", "prod past staging"),
    (
        "gitlab/release",
        "needs: [plan, dev]",
        "needs: [plan, dev]\n  when: always",
        "staging past dev",
    ),
    ("github/deploy", "make deploy", "make cd", "prod: nothing that was trained"),
    (
        "github/release",
        "environment: prod",
        "environment: staging",
        "release.prod: deploys to staging",
    ),
    ("azure/stages/deploy", "name: ${{ parameters.runner }}", "name: any", "that stays: False"),
    ("github/deploy", "clean: false", "clean: true", "keeping what is there: False"),
    # Other times, other targets, other conditions, other names.
    ("github/quality", "timeout-minutes: 20", "timeout-minutes: 21", "quality.check.timeout: "),
    ("github/quality", "    timeout-minutes: 20\n", "", "quality.check: may take 0 minutes"),
    ("gitlab/quality", "--sample 0.05", "--sample 0.5", "quality.sample.run: "),
    ("azure/candidate", "          set -e\n", "", "candidate.train.run: "),
    ("gitlab/candidate", "report:\n", "reports:\n", "candidate.jobs: "),
    ("github/retrain", "17 4 * * *", "17 4 31 * *", "is not a time of every month"),
    ("github/retrain", "17 4 * * *", "18 4 * * *", "retrain.on: "),
    ("github/quality", "notebooks/**", "docs/**", "quality.on: "),
    ("github/quality", ', ".github/**"]', "]", "quality.on: "),
    ("github/retrain", "manual, ", "", "retrain.on: "),
    ("github/rollback", "inputs.why", "inputs.action", "rollback.act.inputs: "),
    # Two at a time.
    ("github/release", "in-progress: false", "in-progress: true", "release: its runs are"),
    ("github/release", "{{ github.workflow", "{{ github.ref", "release: its runs are"),
    (".gitlab-ci.yml", "  resource_group: release\n", "", "release: its runs are"),
    ("azure/tune", "lockBehavior: sequential", "displayName: Tune", "tune: its runs"),
    # Another beginning, or another end.
    ("github/quality", "credentials: false", "credentials: true", "quality.check: is not set up"),
    ("github/quality", 'UV_LOCKED: "1"', 'UV_LOCKED: "0"', "quality.check: is not set up"),
    ("gitlab/common", "    - make setup", "    - make help", "quality.check: is not set up"),
    ("azure/steps/setup", 'fetchDepth: "0"', 'fetchDepth: "1"', "is not set up"),
    ("github/integrate", "[check, security, train, ", "[check, security, ", "integrate.alert: "),
    ("github/integrate", "failure()", "!cancelled()", "integrate.alert: always of"),
    ("github/integrate", "ci-alert ARGS=integrate", "ci-alert ARGS=tune", "integrate.alert: "),
    ("azure/tune", "WORKFLOW: tune", "WORKFLOW: retrain", "WORKFLOW is 'retrain'"),
    # The contract: artefacts, secrets, variables, targets.
    (
        "github/integrate",
        "name: candidate\n",
        "name: model\n",
        "nothing it needs uploads candidate",
    ),
    ("github/integrate", "name: candidate\n", "name: model\n", "integrate: nobody downloads model"),
    ("github/integrate", "[register, security]", "[register]", "nothing it needs uploads sbom"),
    ("gitlab/common", "reports/]", "reports/, models/]", "integrate.train.uploads: "),
    ("github/integrate", "path: dist }", "path: build }", "sbom comes back to another place"),
    ("azure/integrate", "Directory)/dist", "Directory)", "sbom comes back to"),
    ("github/release", "MLOPS_SIGNING_KEY", "KEY", "release.plan: KEY is on no list"),
    ("github/integrate", "vars.MLOPS_T", "secrets.MLOPS_T", "a secret on one side only"),
    ("github/deploy", "  MLOPS_API_KEYS: {", "  API_KEYS: {", "release.dev.variables: "),
    ("github/integrate", "make sbom", "make bom", "integrate.security: make bom is none"),
    ("github/candidate", "make ci-comment", "make ci-coment", "make ci-coment is none"),
    ("azure/variables/environment", "MLOPS_NOTIFY", "NOTIFY", "{'MLOPS_NOTIFY'} would be"),
    ("src/mlops/cli/ci.py", "def share(", "def shares(", "ci-shares: no job calls it"),
]


@pytest.mark.parametrize(("file", "old", "new", "report"), GRAPH_PLANTS)
def test_graph_reports(file: str, old: str, new: str, report: str, tmp_path: Path) -> None:
    platform, path = place(file)
    clean = trees.rendered(ci=platform)
    tree = shutil.copytree(clean, tmp_path / "tree")
    plant(tree / path, old, new)
    found = {*faults(tree), *deviations(read(tree))}
    found -= {*faults(clean), *deviations(pipelines(platform))}
    assert [line for line in found if report in line], found


def deviations(mine: Pipelines) -> list[str]:
    """Return what pipelines do otherwise than those of another platform."""
    others = [pipelines(name) for name in PLATFORMS if name != mine.platform]
    return [line for other in others for line in differences(mine, other)]
