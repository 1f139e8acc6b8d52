"""Pipelines are valid on their platform, the same on all three, and safe; every check can fail."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations, product
from pathlib import Path
from typing import Any

import npm
import pytest
import trees
from conftest import ROOT
from jinja2 import Environment, meta
from linters import LINTERS
from pipelines import Pipelines, azure_steps, differences, load, read
from rules import CONTRACT, RULES, mapped, variables_of

PLATFORMS = trees.choices("ci")
FILES = [".github", ".gitlab", ".gitlab-ci.yml", "azure-pipelines", ".azuredevops", "renovate.json"]
# The answers that pipelines are made of. Of the environments: none, one, two and all between.
# Of the registries the one that is in git, and another.
VALUES: dict[str, list[Any]] = {
    "environments": [trees.values("environments")[number] for number in (0, 2, 5, -1)],
    "provider": ["local", "kubernetes", "azure", "aws", "gcp"],
    "serving": [["online", "batch"], ["batch"]],
    "project_slug": trees.TEXTS["project_slug"],
    "registry": ["mlflow", "gto"],
}
for name in ("promotion", "pr_training", "retrain", "oversight", "python_version"):
    VALUES[name] = trees.values(name)
# Tags are pushed for the latter two.
TAGS = [("mlflow", "deploy-model"), ("mlflow", "deploy-code"), ("gto", "deploy-model")]
# Any two answers that a file is made of meet in one of them.
COMBINATIONS = [
    {name: values[(one + other) % len(values)] for name, values in VALUES.items()}
    | dict(zip(("registry", "promotion"), TAGS[(one + other) % len(TAGS)], strict=True))
    | {"environments": VALUES["environments"][one], "provider": VALUES["provider"][other]}
    for one, other in product(range(4), range(5))
]


def answers_in(path: Path) -> set[str]:
    """Return the answers that a file is made of, with those of what it includes."""
    environment = Environment(extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"])
    parsed = environment.parse(path.read_text(encoding="utf-8"))
    included = {*meta.find_referenced_templates(parsed)} - {None}
    parts = (answers_in(trees.template() / str(name)) for name in included)
    return meta.find_undeclared_variables(parsed).union(*parts)


def test_any_two_answers_of_a_file_meet() -> None:
    root = trees.template() / "template"
    made = {path.relative_to(root): path for path in root.rglob("*.jinja")}
    made = {name: made[name] for name in made if name.parts[0].removesuffix(".jinja") in FILES}
    assert len(made) > len(PLATFORMS)
    for name, path in made.items():
        # What is computed has as many values as what it is computed from.
        given = {"cron": "retrain", "tags_pushed": "registry"}
        used = sorted({given.get(n, n) for n in answers_in(path)} - {*trees.TEXTS})
        for some in combinations(used, min(2, len(used))):
            rows = [[row[n] for n in some] for row in COMBINATIONS]
            missing = [way for way in product(*(VALUES[n] for n in some)) if [*way] not in rows]
            assert not missing, f"{name} is made of {some}"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_only_clouds_are_logged_in_to(platform: str) -> None:
    local, cluster = (
        {name: path.read_bytes() for name, path in trees.files(tree) if name.split("/")[0] in FILES}
        for tree in (trees.rendered(ci=platform, provider=p) for p in ("local", "kubernetes"))
    )
    # Only one has infrastructure, and on GitLab two files that say when it is looked at.
    same = {name for name in cluster if "infra" not in name} - {
        ".gitlab-ci.yml",
        ".gitlab/schedules.yaml",
    }
    assert {name: local[name] for name in same} == {name: cluster[name] for name in same}


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
def pipelines(platform: str, number: int = -1, provider: str = "local") -> Pipelines:
    """Return the pipelines of a combination, or of the default answers at a provider."""
    answers = COMBINATIONS[number] if number >= 0 else {"provider": provider}
    return read(trees.rendered(ci=platform, **answers))


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
    ways = product(PLATFORMS, VALUES["provider"])
    assert variables == set().union(*(mapped(pipelines(*way, provider=p)) for *way, p in ways))


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
    ("gitlab/infra-apply@aws", "when: manual", "when: on_success", "infra-apply.prod: waits for a"),
    # Infrastructure: past an environment, without a login, with too much, or in silence.
    (
        "azure/infra-apply@gcp",
        "after: [check, staging]",
        "after: [check]",
        "prod: infra gets there past",
    ),
    ("github/infra-plan@aws", "id-token: write", "id-token: none", "infra-plan.plan: logs in: Fal"),
    (
        "github/infra-plan@gcp",
        "pull-requests: write",
        "contents: write",
        "infra-plan.report: may ",
    ),
    ("github/infra-drift@azure", "needs: drift", "needs: []", "infra-drift.alert: failure of []"),
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
    # A login that is missing, of no use, a fork's, or somebody else's.
    (".github/actions/setup/action.yml@aws", "if: env.AWS", "if: env.AWZ", "logs in: False"),
    (
        ".github/actions/setup/action.yml@azure",
        " && !github.event",
        " && github.event",
        "in: False",
    ),
    ("github/release@gcp", "      id-token: write # logs in\n", "", "release.plan: logs in: False"),
    (
        "github/deploy@aws",
        "vars.AWS_ROLE_ARN",
        "secrets.AWS_ROLE_ARN",
        "release.prod: logs in: Fal",
    ),
    ("github/quality@aws", "contents: read", "id-token: write", "quality.check: may "),
    ("github/integrate@azure", "contents: read", "id-token: write", "integrate.check: may "),
    ("github/data@gcp", "    environment: dev", "    name: dev", "check: logs in as a branch"),
    ("gitlab/common@aws", "    IDENTITY_TOKEN:", "    TOKEN:", "integrate.train: logs in: False"),
    (
        "gitlab/common@gcp",
        "/.git/identity.json",
        "/identity.json",
        "retrain.register: logs in: Fal",
    ),
    (
        "gitlab/quality@aws",
        "check:\n",
        "check:\n  extends: .login\n",
        "quality.check: logs in: True",
    ),
    ("gitlab/integrate@azure", "SIGSTORE_ID", "SIGNING_ID", "integrate.container: has tokens"),
    ("azure/steps/setup@azure", ", 'True'", ", 'False'", "integrate.train: logs in: False"),
    (
        "azure/tune@gcp",
        "connection: flight-delays-dev",
        "connection: other",
        "search: logs in: False",
    ),
    ("azure/stages/deploy@gcp", "delays-$", "delay-$", "release.prod.login: "),
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
    file, _, provider = file.partition("@")
    platform, path = place(file)
    clean = trees.rendered(ci=platform, provider=provider or "local")
    tree = shutil.copytree(clean, tmp_path / "tree")
    plant(tree / path, old, new)
    found = {*faults(tree), *deviations(read(tree))}
    found -= {*faults(clean), *deviations(read(clean))}
    assert [line for line in found if report in line], found


def deviations(mine: Pipelines) -> list[str]:
    """Return what pipelines do otherwise than those of another platform."""
    names = [name for name in PLATFORMS if name != mine.platform]
    others = [pipelines(name, provider=mine.provider) for name in names]
    return [line for other in others for line in differences(mine, other)]


# The logins' own scripts --------------------------------------------------------
def ran(script: str, folder: Path, **variables: str) -> str:
    """Run a script of a job in a folder; return what it prints."""
    env = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **variables}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def google(path: Path, token: Path) -> None:
    """Check the file by which Google's libraries find an identity token."""
    said = json.loads(path.read_text(encoding="utf-8"))
    assert said["credential_source"] == {"file": str(token)}
    assert said["audience"] == "//iam.googleapis.com/projects/1"
    assert "/serviceAccounts/me@example.com:" in said["service_account_impersonation_url"]


GOOGLE = {"GCP_PROVIDER": "projects/1", "GCP_SERVICE_ACCOUNT": "me@example.com"}


def test_azures_token_is_renewed_on_github_until_the_job_ends(tmp_path: Path) -> None:
    asked, there = list[tuple[str, str]](), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            there.append(token.read_text() if token.exists() else "")
            self.send_response(500 if len(asked) == 2 else 200)  # one that fails changes nothing
            self.end_headers()
            self.wfile.write(json.dumps({"value": f"token {len(asked)}"}).encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    action = load(trees.rendered(provider="azure") / ".github/actions/setup/action.yml")
    (login,) = (step["run"] for step in action["runs"]["steps"] if "AZURE" in step.get("if", ""))
    token, sleep = tmp_path / "azure-token", tmp_path / "sleep"
    for name in ("asleep", "word"):  # sleep says that it sleeps, and does so until it hears a word
        os.mkfifo(tmp_path / name)
    sleep.write_text('#!/bin/sh\necho > asleep; read word < word && [ "$word" = on ]\n')
    sleep.chmod(0o755)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ran(
        login,
        tmp_path,
        AZURE_FEDERATED_TOKEN_FILE=str(token),
        ACTIONS_ID_TOKEN_REQUEST_TOKEN="mine",
        ACTIONS_ID_TOKEN_REQUEST_URL=f"http://127.0.0.1:{server.server_port}/?version=1",
    )
    for word in ("on", "on", "off"):
        ran(f"timeout 60 sh -c 'cat asleep; echo {word} > word'", tmp_path)
    server.shutdown()
    assert token.stat().st_mode & 0o777 == 0o600
    assert [*there, token.read_text()] == ["", "token 1", "token 1", "token 3"]
    assert {*asked} == {("/?version=1&audience=api://AzureADTokenExchange", "bearer mine")}


@pytest.mark.parametrize("provider", ["azure", "aws", "gcp"])
def test_gitlabs_token_is_where_libraries_look(provider: str, tmp_path: Path) -> None:
    jobs = pipelines("gitlab", provider=provider).workflows["integrate"].jobs
    (tmp_path / ".git").mkdir()
    token = tmp_path / ".git/identity-token"
    for name in ("train", "container"):
        row = jobs[name].raw
        lines = [line for line in row["before_script"] if ".git/" in line]
        ran("\n".join(lines), tmp_path, IDENTITY_TOKEN=name, CI_PROJECT_DIR=str(tmp_path), **GOOGLE)
        assert token.read_text() == name
        assert token.stat().st_mode & 0o777 == 0o600
        (place,) = (v for v in row["variables"].values() if "/.git/" in str(v))
        path = Path(place.replace("$CI_PROJECT_DIR", str(tmp_path)))
        google(path, token) if provider == "gcp" else path.samefile(token)


@pytest.mark.parametrize("provider", ["azure", "gcp"])
def test_azure_pipelines_token_is_where_libraries_look(provider: str, tmp_path: Path) -> None:
    steps = azure_steps(
        pipelines("azure-devops", provider=provider).workflows["tune"].jobs["search"].raw
    )
    (script,) = (step["inputs"]["inlineScript"] for step in steps if "AzureCLI" in str(step))
    said = ran(
        script,
        tmp_path,
        AGENT_TEMPDIRECTORY=str(tmp_path),
        idToken="mine",
        servicePrincipalId="me",
        tenantId="here",
        **GOOGLE,
    )
    variables = dict(
        re.findall(r"^##vso\[task.setvariable variable=(\w+)\](.*)$", said, re.MULTILINE)
    )
    token = tmp_path / "identity-token"
    assert token.read_text() == "mine"
    assert token.stat().st_mode & 0o777 == 0o600
    if provider == "gcp":
        google(Path(variables["GOOGLE_APPLICATION_CREDENTIALS"]), token)
    else:
        names = ("AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID")
        assert variables == dict(zip(names, ("me", str(token), "here"), strict=True))
