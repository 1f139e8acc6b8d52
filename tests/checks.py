"""Checks of a rendered tree, of the template or of its questions; each returns what is wrong."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import nbformat
import trees
import yaml
from allpairspy import AllPairs  # type: ignore[import-untyped]
from conftest import ROOT
from jinja2 import Environment, StrictUndefined, UndefinedError, meta

Check = Callable[[Path], list[str]]

# Which file belongs to which choice. Whatever is not named here is in every tree.
CLOUDS = ("azure", "aws", "gcp")
VARIANTS: dict[str, dict[str, list[str]]] = {
    "registry": {
        name: [f"src/mlops/registry/{name}.py"]
        for name in ("mlflow", "gto", "azureml", "sagemaker", "vertex")
    },
    "provider": {
        name: [
            "docs/cloud.md",
            "docs/infra.md",
            *(
                f"{folder}/infra-{what}.yml"
                for folder in (".github/workflows", ".gitlab/ci", "azure-pipelines")
                for what in ("apply", "drift", "plan")
            ),
            "azure-pipelines/stages/infra.yml",
            f"infra/{name}/",
            "src/mlops/cli/infra.py",
            "src/mlops/infra/__init__.py",
            f"src/mlops/infra/{name}.py",
            f"src/mlops/doctor/{name}.py",
            "tests/unit/test_infra.py",
            "src/mlops/cloud/",
            f"src/mlops/cloud/{name}.py",
            f"src/mlops/jobs/{name}.py",
            "src/mlops/release/callers.py",
            "src/mlops/release/stored.py",
            f"src/mlops/release/targets/{name}.py",
            "tests/unit/test_cloud.py",
            "tests/unit/test_stored.py",
            *(["src/mlops/cloud/s3.py"] if name in ("aws", "kubernetes") else []),
            *(["deploy/"] if name == "kubernetes" else []),
            *(
                [
                    "src/mlops/release/targets/managed.py",
                    "src/mlops/serve/platform.py",
                    "tests/unit/test_platform.py",
                ]
                if name in CLOUDS
                else []
            ),
        ]
        for name in ("kubernetes", *CLOUDS)
    },
    "training": {
        "job": [
            "Dockerfile.job",
            "deploy/job.yaml",
            "docs/jobs.md",
            "src/mlops/cli/jobs.py",
            "src/mlops/jobs/",
            "tests/unit/test_jobs.py",
        ],
        "ray": ["src/mlops/pipeline/search.py", "tests/integration/test_search.py"],
    },
    "environments": {
        name: [
            f"environments/{name}.yaml",
            f"deploy/overlays/{name}/",
            *(f"infra/{at}/environments/{name}.tfvars" for at in ("kubernetes", *CLOUDS)),
        ]
        for name in ("dev", "test", "staging", "shadow", "prod")
    },
    "serving": {
        "online": [
            "Dockerfile",
            "compose.yaml",
            "deploy/route.yaml",
            "deploy/slot.yaml",
            "docs/online.md",
            "src/mlops/cli/online.py",
            "src/mlops/release/status.py",
            *(
                f"src/mlops/release/targets/{name}.py"
                for name in (
                    *("compose", "envoy", "figures", "local", "managed", "store", "supervisor"),
                    *("kubernetes", *CLOUDS),
                )
            ),
            "src/mlops/release/callers.py",
            "src/mlops/serve/platform.py",
            "tests/unit/test_platform.py",
            *(
                f"src/mlops/serve/{name}.py"
                for name in ("__main__", "app", "auth", "capture", "explain", "load", "metrics")
            ),
            "src/mlops/serve/schema.py",
            "tests/serving/",
            *(
                f"tests/unit/test_{name}.py"
                for name in ("compose", "load", "serve", "status", "targets")
            ),
        ],
        "batch": [
            "docs/batch.md",
            "src/mlops/cli/batch.py",
            "src/mlops/serve/batch.py",
            "tests/unit/test_batch.py",
        ],
        "edge": [
            "docs/edge.md",
            "src/mlops/cli/edge.py",
            "src/mlops/serve/edge/",
            "tests/unit/test_edge.py",
        ],
    },
}
VARIANTS["ci"] = {
    "github": [
        ".github/",
        "src/mlops/ci/github/",
        "tests/unit/forges/github.py",
        "tests/unit/protection/github.py",
    ],
    "gitlab": [
        ".gitlab/",
        ".gitlab-ci.yml",
        "src/mlops/ci/gitlab/",
        "tests/unit/forges/gitlab.py",
        "tests/unit/protection/gitlab.py",
    ],
    "azure-devops": [
        ".azuredevops/",
        "azure-pipelines/",
        "infra/azure/bootstrap/azure-devops.tf",
        "infra/azure/bootstrap/azure-devops_override.tf",
        "infra/azure/bootstrap/tests/azure-devops.tftest.hcl",
        "src/mlops/ci/azure_devops/",
        "tests/unit/forges/azure_devops.py",
        "tests/unit/protection/azure_devops.py",
    ],
}
# What images are made with: of servers, and of jobs.
IMAGES = (".dockerignore", "src/mlops/image.py", "tests/unit/test_image.py")
VARIANTS["oversight"] = {"regulated": ["docs/team/controls.yaml"]}
BINARY = {".parquet"}
HELM = "/charts/objects/templates/"  # Go's templates


def git(*arguments: str) -> str:
    """Return what git says about the template's repository; nothing where it has no answer."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def read(path: Path) -> str:
    """Return the text of a file. One that is not text has marks in it; ``parses`` reports it."""
    return path.read_bytes().decode(errors="replace")


# A rendered tree -------------------------------------------------------------
def parses(tree: Path) -> list[str]:
    """Every file is what its name says."""
    readers: dict[str, Callable[[str], Any]] = {
        ".ipynb": lambda text: nbformat.validate(json.loads(text)),
        ".json": json.loads,
        ".py": ast.parse,
        ".toml": tomllib.loads,
        ".yaml": lambda text: list(yaml.safe_load_all(text)),
        ".yml": yaml.safe_load,
    }
    found = []
    for name, path in trees.files(tree):
        try:
            # A warning of today, such as a cell without an id, is an error of tomorrow.
            with warnings.catch_warnings(action="error"):
                if path.suffix not in BINARY and HELM not in name:
                    readers.get(path.suffix, str)(path.read_bytes().decode())
        except Exception as error:  # each reader has errors of its own
            found.append(f"{name}: {error}")
    return found


def linted(tree: Path) -> list[str]:
    """Ruff, with the settings of the tree itself, finds nothing to say or to format."""
    found = []
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--output-format=concise"],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
        )
        found += (done.stdout + done.stderr).splitlines() if done.returncode else []
    return found


def sources(tree: Path) -> dict[str, str]:
    """Return the name under template/, but for the suffix, of every file of the tree."""
    package = re.compile(rf"^(src|tests)/{trees.answers_of(tree)['package_name']}/")
    return {name: package.sub(r"\1/{{ package_name }}/", name) for name, _ in trees.files(tree)}


def rendered_through(tree: Path) -> list[str]:
    """No braces of Jinja's are left, neither in a name nor in a text."""
    answer = re.compile(r"\{\{-? *(_copier\w+|" + "|".join(trees.CONFIG) + r")\b")
    lying = sources(tree)
    found = []
    for name, path in trees.files(tree):
        if re.search(r'\.jinja|[{}"]', name):
            found.append(f"{name}: not a name")
        # GitHub's and Azure's own expressions are no braces of Jinja's.
        text = "" if path.suffix in BINARY else re.sub(r"\$\{\{.*?\}\}", "", read(path))
        # Python's and Helm's own doubled braces may stand in a file that never met Jinja.
        own = path.suffix == ".py" or HELM in name
        static = own and (trees.template() / "template" / lying[name]).exists()
        if "{%" in text or (answer.search(text) if static else re.search(r"\{\{|\}\}", text)):
            found.append(f"{name}: braces are left")
    return found


def tidy(tree: Path) -> list[str]:
    """Whitespace is as every editor and diff wants it."""
    found = []
    for name, path in trees.files(tree):
        if path.suffix in BINARY:
            continue
        text = read(path)
        faults = {
            "is empty": not text and path.name not in ("__init__.py", "py.typed"),
            "ends with other than one newline": text and not re.search(r"(?<!\n)\n\Z", text),
            "has trailing blanks": re.search(r"[ \t]$", text, re.MULTILINE),
            "has tabs": "\t" in text and path.name != "Makefile",
            "has carriage returns": "\r" in text,
        }
        found += [f"{name}: {fault}" for fault, there in faults.items() if there]
    return found


@cache
def authors() -> re.Pattern[str]:
    """Match what would tell who made the template, or where it lies."""
    own = [git("config", "user.name"), git("config", "user.email")]
    remotes = re.findall(r"url (.+)", git("config", "--get-regexp", r"remote\..*\.url"))
    words = {*own, *remotes, *git("log", "--format=%an%n%ae").splitlines(), str(ROOT)}
    words = {word for word in words if re.search(r"[\s@/\d]", word)}  # a bare name is any word
    # A part with a number, such as an account's, gives away as much as the whole.
    parts = {part for word in words for part in re.findall(r"\w*\d\w*", word) if len(part) > 5}
    escaped = map(re.escape, [*words, *parts, str(trees.template())])
    return re.compile("|".join([r"[\w.-]+/copier-mlops", *escaped]), re.IGNORECASE)


def anonymous(tree: Path) -> list[str]:
    """Nobody's name is left behind; only the answers file says where the template lies."""
    found = []
    for name, path in trees.files(tree):
        text = read(path)
        if name == trees.ANSWERS:
            text = re.sub(r"^_(src_path|commit): .*$", "", text, flags=re.MULTILINE)
        found += [f"{name}: {match}" for match in authors().findall(f"{name}\n{text}")]
    return found


def selected(tree: Path) -> list[str]:
    """The tree holds the files that its answers ask for, all of them and no other."""
    answers = trees.answers_of(tree)
    there = set(sources(tree).values())
    expected = {
        name.removesuffix(".jinja").replace("{{ _copier_conf.answers_file }}", trees.ANSWERS)
        for name, _ in trees.files(trees.template() / "template")
    }
    for name, choices in VARIANTS.items():
        for path in {path for paths in choices.values() for path in paths}:
            if not any(one in answers[name] for one in choices if path in choices[one]):
                folder = path if path.endswith("/") else "\0"
                expected -= {one for one in expected if one == path or one.startswith(folder)}
    if "online" not in answers["serving"] and answers["training"] != "job":
        expected -= {*IMAGES, *(one for one in expected if one.startswith("deploy/"))}
    empty = [path for path in tree.rglob("*") if path.is_dir() and not any(path.iterdir())]
    return [
        *(f"{name}: missing" for name in sorted(expected - there)),
        *(f"{name}: not asked for" for name in sorted(there - expected)),
        *(f"{path.relative_to(tree)}: an empty folder" for path in empty),
    ]


TREE_CHECKS: list[Check] = [parses, linted, rendered_through, tidy, anonymous, selected]


# The template ----------------------------------------------------------------
# Every two answers occur together in one of these.
COMBINATIONS: list[dict[str, Any]] = [
    dict(zip(trees.ASKED, row, strict=True))
    for row in AllPairs(
        [trees.values(name) for name in trees.ASKED],
        filter_func=lambda row: trees.supported(dict(zip(trees.ASKED, row, strict=False))),
    )
]
# What release 0.1.0 asked.
FIRST = (
    *("project_name", "project_slug", "package_name", "task", "description", "team", "contact"),
    *("python_version", "license", "registry", "environments"),
)


@cache
def projects() -> list[tuple[set[str], int]]:
    """Return what each combination is rendered from, but for the suffix, and its lines."""
    found = []
    for answers in COMBINATIONS:
        tree = trees.rendered(**answers)
        lines = sum(read(path).count("\n") for _, path in trees.files(tree))
        found.append((set(sources(tree).values()), lines))
    return found


def nested(name: str, text: str, depth: int) -> list[str]:
    """Report each block that stands in another; ``depth`` is how deep the text itself stands."""
    found = []
    for end in re.findall(r"\{%-? *(end)?(?:if|for|macro|block|filter|call)\b", text):
        depth += -1 if end else 1
        if depth > 1:
            found.append(f"{name}: nested {depth} deep")
    return found


def sparse(root: Path) -> list[str]:
    """Jinja stands at the edges: few files, few lines, never one condition in another.

    Few files: four of five under template/ are copied as they are. Few lines: of each combination,
    the lines with ``{%`` (raw and endraw too) in the .jinja files that it is rendered from, and in
    all pieces under includes/, used or not, are at most 1 % of the lines that are generated. Never
    one in another: a piece may be included in a condition, so it has none of its own.
    """
    names = [name for name, _ in trees.files(root / "template")]
    templated = {name: read(root / "template" / name) for name in names if name.endswith(".jinja")}
    pieces = {f"includes/{name}": read(path) for name, path in trees.files(root / "includes")}
    found = [fault for name, text in templated.items() for fault in nested(name, text, 0)]
    found += [fault for name, text in pieces.items() for fault in nested(name, text, 1)]

    control = {
        name.removesuffix(".jinja"): sum("{%" in line for line in text.splitlines())
        for name, text in {**templated, **pieces}.items()
    }
    for answers, (used, lines) in zip(COMBINATIONS, projects(), strict=True):
        count = sum(control[name] for name in control if name in used or name in pieces)
        if count > lines / 100:
            share = f"{count} control lines to {lines} generated ones, {count / lines:.2%}"
            found.append(f"{share}: {answers}")

    if len(templated) > len(names) / 5:
        found.append(f"{len(templated)} of {len(names)} files are templated")
    return found + [f"{name}: a conditional name" for name in names if "{%" in name]


def excludes(root: Path) -> list[str]:
    """Every row of ``_exclude`` has one condition and names what is there.

    ``copier update`` renders the release that a project comes from by these lines too. Of answers
    that the first release did not ask for, none may be needed, and none may leave a file out.
    """
    config = yaml.safe_load((root / "copier.yml").read_text(encoding="utf-8"))
    strict = Environment(undefined=StrictUndefined)
    first = {name: trees.BASE[name] for name in FIRST}
    found = []
    for line in config["_exclude"]:
        match = re.fullmatch(r"\{% if ((?!%\}).)+ %\}(?P<paths>[^%]+)\{% endif %\}\n?", line)
        for name in match["paths"].strip().split("\n") if match else ["?"]:
            there = [[*(root / "template").glob(one)] for one in (name, f"{name}.jinja")]
            if line != "__pycache__" and not any(there):
                found.append(f"{line}: names nothing")
        asked = meta.find_undeclared_variables(strict.parse(line)) <= {*first, "_copier_operation"}
        for operation in ("copy", "update"):
            try:
                left_out = strict.from_string(line).render(first, _copier_operation=operation)
            except UndefinedError as error:
                found.append(f"{line}: no update from the first release, {error}")
            else:
                if left_out and not asked:
                    found.append(f"{line}: an update from the first release loses it")
    return found


# The questions ---------------------------------------------------------------
def incomplete(config: dict[str, Any]) -> list[str]:
    """Report questions that lack something or come too early, and settings that need trust."""
    environment = Environment(extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"])
    known = {"_copier_conf", "_copier_operation"}
    found: list[str] = []

    def check(name: str, text: Any) -> None:
        names = meta.find_undeclared_variables(environment.parse(str(text)))
        found.extend(f"{name}: {unknown} is not known here" for unknown in sorted(names - known))

    for name, row in config.items():
        if name.startswith("_"):
            continue
        found += [f"{name}: no {key}" for key in ("type", "help", "default") if key not in row]
        if not {"choices", "validator"} & set(row):
            found.append(f"{name}: takes anything")
        check(name, [row.get("default"), row.get("when")])
        known.add(name)
        check(name, row.get("validator"))
    check("_exclude", config["_exclude"])
    if config["_envops"].get("undefined") != "jinja2.StrictUndefined":
        found.append("_envops: a typo in a template would be an empty string")
    trusting = {"_tasks", "_migrations", "_jinja_extensions"} & set(config)
    return found + [f"{name} needs --trust" for name in sorted(trusting)]


def idle(rendered: dict[str, Path]) -> list[str]:
    """Report answers that give the same working files; documentation does not count."""

    def working(tree: Path) -> dict[str, bytes]:
        return {
            name: path.read_bytes()
            for name, path in trees.files(tree)
            if name not in (trees.ANSWERS, "LICENSE") and not re.search(r"^docs/|\.md$", name)
        }

    contents = {answer: working(tree) for answer, tree in rendered.items()}
    pairs = combinations(contents, 2)
    return [
        f"{one} and {two} give the same" for one, two in pairs if contents[one] == contents[two]
    ]
