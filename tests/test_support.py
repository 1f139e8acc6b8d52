"""The table of support: what goes together renders whole, what does not is refused by name."""

import ast
import fnmatch
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import trees
from conftest import ROOT
from copier import run_copy
from jinja2 import Environment, StrictUndefined, Template

# What stands in the table, and what a file's place depends on.
AXES = ("provider", "strategy", "registry", "serving", "training")
PRODUCT = [
    {**trees.BASE, **dict(zip(AXES, row, strict=True))}
    for row in product(*(trees.values(name) for name in AXES))
]
TEMPLATE = trees.template() / "template"
JINJA = Environment(undefined=StrictUndefined)


def validators() -> dict[str, Template]:
    """Return what the questions of the table say of their own answers."""
    return {name: JINJA.from_string(trees.ASKED[name]["validator"]) for name in trees.SUPPORT}


def test_every_combination_is_supported_or_refused() -> None:
    rules = validators()
    refused = 0
    for answers in PRODUCT:
        asked = [name for name in rules if name != "strategy" or "online" in answers["serving"]]
        given = {**answers, "support": trees.SUPPORT}
        said = {name: rules[name].render(given).strip() for name in asked}
        reasons = {name: text for name, text in said.items() if text}
        assert bool(reasons) != trees.supported(answers), answers
        for name, text in reasons.items():
            limit = trees.SUPPORT[name][answers[name]]
            assert text.startswith(
                f"{answers[name]} does not go with provider {answers['provider']}: "
            )
            assert limit["why"] in text
            assert text.endswith(f"nearest here is {limit['nearest']}.")
        refused += bool(reasons)
    counted = len(PRODUCT) - refused
    assert len(PRODUCT) == 5 * 5 * 5 * 7 * 3
    # Registries x trainings x (4 ways to serve online x strategies + 3 others x all 5 unasked).
    sizes = [2 * 2 * 35, 2 * 3 * 35, 3 * 3 * 35, 3 * 3 * 35, 3 * 3 * (4 * 4 + 15)]
    assert (counted, refused) == (sum(sizes), len(PRODUCT) - sum(sizes)) == (1259, 1366)


def test_what_comes_nearest_goes_there() -> None:
    for name, limits in trees.SUPPORT.items():
        for choice, limit in limits.items():
            for provider in set(trees.values("provider")) - set(limit["providers"]):
                assert not trees.supported({"provider": provider, name: choice})
                assert trees.supported({"provider": provider, name: limit["nearest"]})


@pytest.mark.parametrize("provider", trees.values("provider"))
@pytest.mark.parametrize(
    ("name", "choice"), [(name, choice) for name in trees.SUPPORT for choice in trees.values(name)]
)
def test_copier_goes_by_the_table(provider: str, name: str, choice: str, tmp_path: Path) -> None:
    answers = {"provider": provider, name: choice}
    if trees.supported(answers):
        tree = trees.rendered(**answers)
        assert trees.answers_of(tree)[name] == choice
        return
    with pytest.raises(
        ValueError, match=f"'{name}': {choice} does not go with provider {provider}"
    ):
        run_copy(str(trees.template()), tmp_path / "tree", data=answers, defaults=True, quiet=True)
    assert not (tmp_path / "tree").exists()


# Which files a combination has, worked out from the rows of copier.yml; a few are rendered as well.
@cache
def rows() -> list[tuple[Template, Template]]:
    """Return the condition and the path of each row of ``_exclude``."""
    found = []
    for line in trees.CONFIG["_exclude"]:
        if match := re.fullmatch(r"\{% if (.+?) %\}(.+)\{% endif %\}", line):
            condition = "{{ " + f"({match[1]}) | string" + " }}"
            found.append((JINJA.from_string(condition), JINJA.from_string(match[2])))
    return found


@cache
def names() -> frozenset[str]:
    """Return the name that each file of the template is rendered to."""
    paths = (path for path in TEMPLATE.rglob("*") if path.is_file())
    named = (path.relative_to(TEMPLATE).as_posix().removesuffix(".jinja") for path in paths)
    return frozenset(name for name in named if "__pycache__" not in name)


def selected(answers: dict[str, Any]) -> frozenset[str]:
    """Return the files of a combination."""
    given = {**answers, "_copier_operation": "copy"}
    dropped = [
        name
        for condition, path in rows()
        if condition.render(given) == "True"
        for name in named(path.render(given))
    ]
    lost = tuple(f"{path}/" for path in dropped)
    return frozenset(
        name for name in names() if name not in dropped and not name.startswith(lost or ("\0",))
    )


@cache
def named(pattern: str) -> list[str]:
    """Return what a row's path names: itself, or the files that it is a pattern of."""
    return fnmatch.filter(names(), pattern) if "*" in pattern else [pattern]


@cache
def imported(name: str) -> frozenset[str]:
    """Return the project's own modules that a Python file imports, by path without suffix.

    What is imported by name at run time is left to whoever checks the answer first.
    """
    path = TEMPLATE / name
    if not path.is_file():
        return frozenset()
    package = name.removeprefix("src/").removesuffix(".py").split("/")
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return frozenset(one.replace(".", "/") for one in found if one.split(".")[0] == "mlops")


def missing(files: frozenset[str]) -> Iterator[str]:
    """Yield the imports of modules that the template has and a combination has not."""
    modules = {
        name.removeprefix("src/").removesuffix(".py").removesuffix("/__init__")
        for name in names()
        if name.startswith("src/mlops") and name.endswith(".py")
    }
    there = {
        name.removeprefix("src/").removesuffix(".py").removesuffix("/__init__") for name in files
    }
    for name in files:
        if name.endswith(".py"):
            for module in imported(name) & modules - there:
                yield f"{name} imports {module}"


def test_no_module_imports_one_that_its_project_lacks() -> None:
    whole = {selected(answers) for answers in PRODUCT if trees.supported(answers)}
    assert len(whole) > 100
    faults = {fault for files in whole for fault in missing(files)}
    assert not faults


def test_an_import_of_what_is_not_there_is_reported() -> None:
    files = selected(PRODUCT[0])
    assert "src/mlops/serve/app.py" in files
    assert "src/mlops/serve/__main__.py imports mlops/serve/app" in set(
        missing(files - {"src/mlops/serve/app.py"})
    )


@pytest.mark.parametrize("number", range(0, len(PRODUCT), 211))
def test_the_rows_select_what_copier_does(number: int) -> None:
    answers = PRODUCT[number]
    if not trees.supported(answers):
        answers = {**answers, "provider": "aws", "registry": "sagemaker", "strategy": "ab"}
    tree = trees.rendered(**answers)
    there = {name for name, _ in trees.files(tree)}
    fixed = {name for name in selected(answers) if "{{" not in name}
    assert fixed <= there
    assert {name for name in there - fixed if name.startswith("src/mlops")} == set()


# SDKs ------------------------------------------------------------------------
SDKS = {
    "azure": r"azure(-ai|-identity|-storage|\.)",
    "aws": r"(boto3|botocore)",
    "gcp": r"google(-cloud|\.)",
    "kubernetes": r"kubernetes",
}


@pytest.mark.parametrize("provider", trees.values("provider"))
def test_no_project_has_the_sdk_of_another_provider(provider: str) -> None:
    tree = trees.rendered(provider=provider)
    foreign = {name: pattern for name, pattern in SDKS.items() if name != provider}
    if provider == "kubernetes":  # its storage speaks S3
        del foreign["aws"]
    texts = {
        name: path.read_text(encoding="utf-8")
        for name, path in trees.files(tree)
        if name == "pyproject.toml" or (name.startswith("src/") and name.endswith(".py"))
    }
    for name, pattern in foreign.items():
        used = re.compile(rf'^\s*(import|from) {pattern}|"{pattern}[a-z-]*>=', re.MULTILINE)
        assert not [file for file, text in texts.items() if used.search(text)], name
    if provider in SDKS:
        assert re.search(f'"{SDKS[provider]}[a-z-]*>=', texts["pyproject.toml"])


# The page ----------------------------------------------------------------------
def table() -> str:
    """Return the table of support as Markdown: a row a choice, a column a provider."""
    providers = trees.values("provider")
    lines = [f"| | {' | '.join(providers)} |", f"|---|{'---|' * len(providers)}"]
    notes = []
    for name in ("strategy", "registry", "training"):
        for choice in trees.values(name):
            limit = trees.SUPPORT[name].get(choice, {"providers": providers})
            marks = ["yes" if one in limit["providers"] else "no" for one in providers]
            lines.append(f"| {name}: {choice} | {' | '.join(marks)} |")
            if "why" in limit:
                notes.append(
                    f"- No {choice} elsewhere: {limit['why']}. Nearest: {limit['nearest']}."
                )
    return "\n".join([*lines, "", *notes])


def test_the_page_shows_the_table() -> None:
    text = (ROOT / "docs/support.md").read_text(encoding="utf-8")
    assert table() in text, f"docs/support.md is to hold:\n\n{table()}"
