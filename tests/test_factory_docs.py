"""The factory's pages and forms say what is so."""

import copy
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trees
import typer
import yaml
from conftest import ROOT, Project

from factory import adopt, assess, cli

DOCS = ROOT / "docs/factory"
KINDS = ["Team set-up", "Practices", "Strategy", "Patterns", "Templates"]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of Markdown's tables, their headings included."""
    for line in text.splitlines():
        if re.match(r"\s*\|(?!-)", line):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


# The index --------------------------------------------------------------------
def lacking(index: str) -> list[str]:
    """Return the kinds of assets for which an index has no link that leads somewhere."""
    parts = re.split(r"^## (.+)$", index, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = []
    for kind in [*KINDS, "Owners, support, release notes"]:
        links = re.findall(r"\]\(([^)#:]+)\)", sections.get(kind, ""))
        if not links or not all((DOCS / link).exists() for link in links):
            found.append(kind)
    return found


def test_every_kind_of_asset_is_there() -> None:
    assert lacking(page("README.md")) == []


def test_a_kind_without_a_link_is_reported() -> None:
    index = page("README.md").replace("## Strategy", "## Plans").replace("shared.md", "absent.md")
    assert lacking(index) == ["Practices", "Strategy"]


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\((\w+\.md)\)", page("README.md")))
    assert linked == {path.name for path in DOCS.glob("*.md")} - {"README.md"}


def test_no_page_of_the_factory_says_where_it_was_written() -> None:
    for path in [*DOCS.iterdir(), *(ROOT / "presets").rglob("*.yaml")]:
        assert str(ROOT) not in path.read_text(encoding="utf-8")


# Intake -----------------------------------------------------------------------
FORM: dict[str, Any] = yaml.safe_load(page("intake.yaml"))


def judged(form: dict[str, Any], tmp_path: Path) -> str:
    """Return what the schema says of a form; nothing, if it is filled in as it should be."""
    path = tmp_path / "form.yaml"
    path.write_text(yaml.safe_dump(form), encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--output-format", "json", "--schemafile"]
    done = subprocess.run(
        [*command, str(DOCS / "intake.schema.yaml"), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(done.stdout)
    assert (done.returncode == 0) == (said["status"] == "ok")
    return json.dumps(said.get("errors", "")) if done.returncode else ""


def with_(*changes: tuple[str, Any]) -> dict[str, Any]:
    """Return the form with other values; "a.b" is b in a, and ... takes it out."""
    form = copy.deepcopy(FORM)
    for name, value in changes:
        part = form
        *folders, last = name.split(".")
        for folder in folders:
            part = part[folder]
        if value is ...:
            del part[last]
        else:
            part[last] = value
    return form


BATCH = (("intake.pattern", "batch"), ("serving", ["batch"]))
EDGE = (("intake.pattern", "edge"), ("serving", ["edge", "batch"]))


def test_the_form_is_filled_in_and_the_schema_is_one(tmp_path: Path) -> None:
    assert judged(FORM, tmp_path) == ""
    command = [sys.executable, "-m", "check_jsonschema", "--check-metaschema"]
    subprocess.run([*command, str(DOCS / "intake.schema.yaml")], check=True, capture_output=True)


@pytest.mark.parametrize(
    "changes",
    [
        [*BATCH, ("intake.latency_ms", None)],
        [*EDGE, ("intake.network", False)],
        [("intake.risk", "high"), ("oversight", "regulated")],
        [("intake.verdict", "no-go"), ("intake.feasible.features_known_in_time", False)],
    ],
    ids=["batch", "edge", "regulated", "no-go"],
)
def test_another_use_case_passes(changes: list[tuple[str, Any]], tmp_path: Path) -> None:
    assert judged(with_(*changes), tmp_path) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(([(f"intake.{name}", ...)], name) for name in FORM["intake"]),
        ([("intake.owner", " ")], "intake.owner"),
        ([("intake.vlaue", "x")], "vlaue"),
        ([("registri", "gto")], "registri"),
        ([("team", ...)], "team"),
        ([("intake.latency_ms", None)], "intake.pattern"),
        ([("intake.network", False)], "intake.pattern"),
        ([*BATCH], "intake.pattern"),
        ([("serving", ["batch"])], "serving"),
        ([("intake.risk", "high")], "oversight"),
        ([("intake.feasible.features_known_in_time", False)], "features_known_in_time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_form_that_lacks_something_is_refused(
    changes: list[tuple[str, Any]], said: str, tmp_path: Path
) -> None:
    assert said in judged(with_(*changes), tmp_path)


def test_the_schema_knows_the_questions_and_the_presets() -> None:
    schema = yaml.safe_load(page("intake.schema.yaml"))
    assert schema["propertyNames"]["enum"] == ["intake", *trees.ASKED]
    for kind in ("pattern", "maturity"):
        known = schema["properties"]["intake"]["properties"][kind]["enum"]
        assert set(known) == {path.stem for path in (ROOT / "presets" / kind).iterdir()}


def test_the_form_answers_as_its_presets_do() -> None:
    for kind in ("pattern", "maturity"):
        path = ROOT / "presets" / kind / f"{FORM['intake'][kind]}.yaml"
        assert yaml.safe_load(path.read_text(encoding="utf-8")).items() <= FORM.items()


def test_a_filled_form_is_a_file_of_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--data-file"]
    target = tmp_path / "flight-delays"
    subprocess.run(
        [*command, str(DOCS / "intake.yaml"), str(trees.template()), str(target)], check=True
    )
    recorded, answers = trees.answers_of(target), {**FORM}
    del answers["intake"]
    assert "intake" not in recorded
    assert {name: recorded[name] for name in answers} == answers


# Services ---------------------------------------------------------------------
OWN = {"azure": "azureml", "aws": "sagemaker", "gcp": "vertex"}
# What shows that a service does a stage: a file of the generated project, and a text in it.
SHOWN: dict[str, dict[str, tuple[str, str]]] = {
    "code": {
        "GitHub": (".github/pull_request_template.md", "#"),
        "GitLab": (".gitlab/merge_request_templates/Default.md", "#"),
        "Azure Repos": (".azuredevops/pull_request_template.md", "#"),
    },
    "pipelines": {
        "GitHub Actions": (".github/workflows/release.yml", "make"),
        "GitLab CI/CD": (".gitlab-ci.yml", "include"),
        "Azure Pipelines": ("azure-pipelines/release.yml", "stage"),
    },
    "data": {
        "DVC on a folder": (".dvc/config", "url = ../../"),
        "DVC on S3-compatible storage": (".dvc/config", "endpointurl = "),
        "DVC on Azure Blob Storage": (".dvc/config", "url = azure://"),
        "DVC on Amazon S3": (".dvc/config", "url = s3://"),
        "DVC on Google Cloud Storage": (".dvc/config", "url = gs://"),
    },
    "tracking": {"MLflow": ("environments/prod.yaml", "sqlite:///mlflow.db")},
    "training": {
        "the pipeline's runner": ("src/mlops/pipeline/train.py", "def "),
        "Kubernetes Job": ("deploy/job.yaml", "kind: Job"),
        "Azure ML command job": ("src/mlops/jobs/azure.py", "command("),
        "SageMaker training job": ("src/mlops/jobs/aws.py", "create_training_job("),
        "Vertex AI custom job": ("src/mlops/jobs/gcp.py", "CustomJob"),
    },
    "registry": {
        "MLflow Model Registry": ("src/mlops/registry/mlflow.py", "MLflow"),
        "Azure ML model registry": ("src/mlops/registry/azureml.py", "Azure ML"),
        "SageMaker Model Registry": ("src/mlops/registry/sagemaker.py", "model package"),
        "Vertex AI Model Registry": ("src/mlops/registry/vertex.py", "Model Registry"),
    },
    "online": {
        "FastAPI behind Envoy": ("src/mlops/release/targets/local.py", "behind Envoy"),
        "Deployment behind a Gateway": ("deploy/route.yaml", "kind: HTTPRoute"),
        "Azure ML managed online endpoint": (
            "src/mlops/release/targets/azure.py",
            "ManagedOnlineEndpoint",
        ),
        "SageMaker endpoint": ("src/mlops/release/targets/aws.py", "endpoint of SageMaker"),
        "Vertex AI endpoint": ("src/mlops/release/targets/gcp.py", "endpoint of Vertex AI"),
    },
    "batch": {"the project's command to Parquet": ("src/mlops/serve/batch.py", "parquet")},
    "edge": {"a signed bundle": ("src/mlops/serve/edge/run.py", "Ed25519")},
    "images": {
        "Docker, Podman or Buildah": ("src/mlops/image.py", "buildah"),
        "any container registry": ("environments/prod.yaml", "image: registry.example.com"),
        "Azure Container Registry": ("environments/prod.yaml", ".azurecr.io"),
        "Amazon ECR": ("environments/prod.yaml", ".dkr.ecr."),
        "Artifact Registry": ("environments/prod.yaml", "-docker.pkg.dev"),
    },
    "figures": {
        "Envoy's statistics": ("src/mlops/release/targets/envoy.py", "stats"),
        "the pods' own": ("src/mlops/release/targets/kubernetes.py", "Pods are asked"),
        "Azure Monitor": ("src/mlops/release/targets/azure.py", "azure.monitor"),
        "Amazon CloudWatch": ("src/mlops/release/targets/aws.py", '"cloudwatch"'),
        "Cloud Monitoring": ("src/mlops/release/targets/gcp.py", "'monitoring'"),
    },
    "journal": {
        "a folder": ("src/mlops/release/journal.py", "Path"),
        "S3-compatible storage": ("environments/prod.yaml", "endpoint_url:"),
        "Azure Blob Storage": ("environments/prod.yaml", ".blob.core.windows.net"),
        "Amazon S3": ("src/mlops/cloud/s3.py", "S3"),
        "Google Cloud Storage": ("src/mlops/cloud/gcp.py", "google.cloud.storage"),
    },
}
ALL = ["online", "batch", "edge"]


def own(choice: str) -> Path:
    """Return a project that takes all that a provider has; or one of a platform of pipelines."""
    if choice in trees.choices("ci"):
        return trees.rendered(ci=choice, serving=ALL)
    job = choice in trees.SUPPORT["training"]["job"]["providers"]
    return trees.rendered(
        provider=choice,
        registry=OWN.get(choice, "mlflow"),
        training="job" if job else "runner",
        serving=ALL,
    )


def matrix(text: str) -> dict[str, dict[str, str]]:
    """Return the service of each stage, by provider or platform."""
    found: dict[str, dict[str, str]] = {}
    heading: list[str] = []
    for row in rows(text):
        if row[0] == "stage":
            heading = row[1:]
        else:
            for choice, service in zip(heading, row[1:], strict=True):
                found.setdefault(choice, {})[row[0]] = service
    return found


def unproven(text: str) -> list[str]:
    """Return the services of a matrix of which such a project shows nothing, or says another."""
    found = []
    for choice, services in matrix(text).items():
        told = assess.services(trees.answers_of(own(choice)))
        for stage, service in services.items():
            name, word = SHOWN[stage].get(service, ("", ""))
            path = own(choice) / name
            shown = path.is_file() and word in path.read_text(encoding="utf-8")
            if not shown or told.get(stage, service) != service:
                found.append(f"{choice}, {stage}: {service}")
    return found


def test_every_stage_has_a_service_of_every_provider_that_its_project_shows() -> None:
    said = matrix(page("services.md"))
    assert list(said) == [*trees.choices("provider"), *trees.choices("ci")]
    stages = {*assess.services(trees.BASE), "images", "figures", "journal"}
    for choice, services in said.items():
        by_ci = {"code", "pipelines"}
        assert set(services) == (by_ci if choice in trees.choices("ci") else stages - by_ci)
    assert unproven(page("services.md")) == []


def test_a_service_that_a_provider_has_not_is_reported() -> None:
    text = page("services.md")
    for right, wrong, report in [
        ("| Amazon ECR |", "| Artifact Registry |", "aws, images: Artifact Registry"),
        ("| Vertex AI custom job |", "| |", "gcp, training: "),
        ("| the pipeline's runner | Kub", "| Ray | Kub", "local, training: Ray"),
        ("| GitHub Actions |", "| GitLab CI/CD |", "github, pipelines: GitLab CI/CD"),
    ]:
        assert unproven(text.replace(right, wrong)) == [report]


@pytest.mark.parametrize("provider", trees.choices("provider"))
def test_the_services_are_those_of_the_answers(provider: str) -> None:
    """A project names its provider, and has the registry that it chose and no other."""
    tree = own(provider)
    prod = yaml.safe_load((tree / "environments/prod.yaml").read_text(encoding="utf-8"))
    assert prod.get("target", "local") == provider
    assert prod.get("training", {}).get("where", "runner") == trees.answers_of(tree)["training"]
    there = {path.stem for path in (tree / "src/mlops/registry").glob("*.py")}
    assert there - {"__init__", "base"} == {trees.answers_of(tree)["registry"]}


# Layouts ----------------------------------------------------------------------
def ours(text: str) -> set[str]:
    """Return the paths that the first column of a table of layouts names."""
    cells = [row[0] for row in rows(text)][1:]
    return {
        name.replace("<package>", "flight_delays")
        for cell in cells
        for name in re.findall(r"`([^`]+)`", cell.split("written by")[0])
    }


def absent(names: set[str], tree: Path) -> set[str]:
    """Return what neither is generated nor, as git ignores it, is written later."""
    ignored = (tree / ".gitignore").read_text(encoding="utf-8")
    return {
        name for name in names if not (tree / name).exists() and f"\n/{name}" not in f"\n{ignored}"
    }


def test_every_path_of_the_layout_is_generated() -> None:
    names = ours(page("layouts.md"))
    assert len(names) > 20
    assert absent(names, own("azure")) == set()
    assert absent({*names, "src/ml/"}, own("azure")) == {"src/ml/"}


def test_the_layout_names_every_folder() -> None:
    tree = own("azure")
    named = {Path(name).parts[0] for name in ours(page("layouts.md"))}
    there = {path.name for path in tree.iterdir() if path.is_dir()}
    assert there - named == {".devcontainer", ".dvc"}, "neither has a place elsewhere"


def test_every_layout_is_mapped() -> None:
    heading, *lines = rows(page("layouts.md"))
    assert heading == ["here", "azureml-examples", "DSLP", "TDSP"]
    assert all(len(line) == 4 and any(line[1:]) for line in lines)
    assert all(sum(bool(line[column]) for line in lines) >= 8 for column in (1, 2, 3))


# Adopting ---------------------------------------------------------------------
def options() -> dict[str, set[str]]:
    """Return the commands of the factory's, and the options that each takes."""
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    return {
        name: {option for param in command.params for option in param.opts}
        for name, command in commands.items()
    }


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_every_command_of_a_page_is_one(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    blocks = "\n".join(
        re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`[^`]+`", text)
    )
    for command, line in re.findall(r"(?<![\w/.-])factory ([a-z]\w*)(.*)", blocks):
        assert command in options(), command
        assert set(re.findall(r"(?<!\S)--[a-z-]+", line.split("#")[0])) <= options()[command], line


def test_the_guide_keeps_step_with_the_command() -> None:
    text = page("adopting.md")
    used = re.findall(r"^factory (\w+)(.*)$", text, re.MULTILINE)
    assert {command for command, _ in used} == {"adopt", "diff"}
    for command, line in used:
        assert set(re.findall(r"--[a-z-]+", line)) <= options()[command], command
    source = Path(adopt.__file__).read_text(encoding="utf-8")
    said = [cell for row in rows(text) for cell in re.findall(r"`([^`]+)`", row[0])]
    for words in said:
        assert words in source, words
    assert set(adopt._LEFT) <= set(said)


def test_copier_alone_keeps_every_file_too(tmp_path: Path) -> None:
    theirs = {
        "README.md": "# Ours\n",
        "Makefile": "ours:\n",
        "src/flight_delays/model.py": "x = 1\n",
    }
    for name, text in theirs.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    line = next(line for line in page("adopting.md").splitlines() if "copier copy" in line)
    words = line.replace("'", "").replace("TEMPLATE", str(trees.template())).split()
    subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, check=True, capture_output=True)
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in theirs} == theirs
    assert (tmp_path / "src/mlops/gates.py").is_file()
    assert trees.answers_of(tmp_path)["project_name"]


# What a team writes -----------------------------------------------------------
def team(**answers: Any) -> Callable[[str], str]:
    folder = trees.rendered(**answers) / "docs/team"
    return lambda name: (folder / name).read_text(encoding="utf-8")


def test_a_retrospective_asks_what_can_be_shared() -> None:
    text = team()("retrospective.md")
    actions = [row[0] for row in rows(text)]
    assert any(action.startswith("What can be shared or generalised?") for action in actions)
    assert ["what", "where to"] in list(rows(text))


def test_the_kick_off_asks_for_what_is_there_already() -> None:
    asked = yaml.safe_load(team()("kick-off.yaml"))
    assert [row["source"] for row in asked] == [
        "internal code",
        "datasets",
        "similar projects",
        "open-source repositories",
    ]
    assert all(row["found"] == row["answered_by"] == "" and row["where"] for row in asked)


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"provider": "aws", "registry": "sagemaker", "training": "job", "strategy": "shadow"},
        {"serving": ["edge"], "oversight": "regulated", "task": "regression", "team": "Risk"},
    ],
    ids=["default", "aws", "edge"],
)
def test_the_design_has_the_answers_filled_in(answers: dict[str, Any]) -> None:
    text, given = team(**answers)("design.md"), trees.answers_of(trees.rendered(**answers))
    assert "{{" not in text
    for name in ("description", "team", "contact"):
        assert given[name] in text.split("## Decided")[0]
    cells = {row[1] for row in rows(text)}
    free = {"project_name", "project_slug", "package_name", "description", "team", "contact"}
    for name in set(given) - free - {"license", "python_version", "pr_training"}:
        value = given[name]
        if not name.startswith("_"):
            assert (", ".join(value) if isinstance(value, list) else value) in cells, name


# A shared library -------------------------------------------------------------
def library(folder: Path, version: str) -> None:
    """Write a package of one function that tells its version."""
    (folder / "src/tabular_tools").mkdir(parents=True, exist_ok=True)
    (folder / "src/tabular_tools/py.typed").touch()
    (folder / "src/tabular_tools/__init__.py").write_text(
        f'"""Shared."""\n\n\ndef version() -> str:\n    """Tell it."""\n    return "{version}"\n'
    )
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "tabular-tools"\nversion = "{version}"\nrequires-python = ">=3.11"\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index on loopback: a folder of packages, listed."""
    (tmp_path / "index/tabular-tools").mkdir(parents=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    handler = partial(Quiet, directory=str(tmp_path / "index"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.nightly
def test_a_shared_library_is_consumed_by_its_version(
    installed: Project, index: str, tmp_path: Path
) -> None:
    copied = installed.copy(tmp_path / "flight-delays")
    project = Project(copied.root, copied.root / ".venv")
    source = tmp_path / "tabular-tools"
    packages = tmp_path / "index/tabular-tools"

    def release(version: str) -> None:
        library(source, version)
        shutil.rmtree(source / "dist", ignore_errors=True)
        project.run("uv", "build", "--quiet", "--wheel", "--out-dir", str(packages), str(source))

    settings = re.findall(r"```toml\n(.*?)```", page("shared.md"), re.DOTALL)[0]
    settings = settings.replace("https://packages.example.com/simple/", index)
    with (project.root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + settings)
    release("1.0.0")
    command = re.search(r"`uv add (.*?) \"(.*?)\"`", page("shared.md"))
    assert command
    project.run("uv", "add", *command[1].split(), command[2])
    test = project.root / "tests/flight_delays/test_shared.py"
    test.write_text(
        "import tabular_tools\n\n\ndef test_version() -> None:\n"
        '    assert tabular_tools.version() == "1.0.0"\n'
    )
    tests = ["tests/flight_delays/test_shared.py", "tests/flight_delays/test_features.py"]
    run = ("uv", "run", "pytest", "-q", *tests)
    assert " passed" in project.run(*run)
    release("1.1.0")
    assert " passed" in project.run(*run), "a new version waits until it is asked for"
    upgrade = re.search(r"`uv (lock --upgrade-package tabular-tools)`", page("shared.md"))
    assert upgrade
    project.run("uv", *upgrade[1].split())
    assert "1.1.0" in project.run(*run, fails=True)


@pytest.mark.nightly
def test_a_shared_library_is_consumed_by_its_tag(installed: Project, tmp_path: Path) -> None:
    copied = installed.copy(tmp_path / "flight-delays")
    project = Project(copied.root, copied.root / ".venv")
    source = tmp_path / "tabular-tools"
    library(source, "1.0.0")
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"], ["tag", "v1.0.0"]):
        project.run("git", *who, "-C", str(source), *command)
    settings = re.findall(r"```toml\n(.*?)```", page("shared.md"), re.DOTALL)[1]
    settings = settings.replace("https://git.example.com/factory/tabular-tools", source.as_uri())
    with (project.root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + settings)
    project.run("uv", "add", "--optional", "train", "tabular-tools>=1,<2")
    said = project.run("uv", "run", "python", "-c", "import tabular_tools as t; print(t.version())")
    assert said.strip().endswith("1.0.0")
