"""What is rendered is right as rendered, for all pairs of answers; and every check can fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trees
import yaml
from checks import (
    COMBINATIONS,
    TREE_CHECKS,
    Check,
    anonymous,
    excludes,
    git,
    linted,
    parses,
    rendered_through,
    selected,
    sparse,
    tidy,
)
from conftest import ROOT


@pytest.mark.parametrize("check", TREE_CHECKS)
@pytest.mark.parametrize("number", range(len(COMBINATIONS)))
def test_tree(check: Check, number: int) -> None:
    assert not check(trees.rendered(**COMBINATIONS[number]))


def test_combinations_hold_every_answer() -> None:
    for name in trees.ASKED:
        assert all(any(row[name] == value for row in COMBINATIONS) for value in trees.values(name))


@pytest.mark.parametrize("check", [sparse, excludes])
def test_template(check: Check) -> None:
    assert not check(trees.template())


def contents(tree: Path) -> dict[str, tuple[int, bytes]]:
    """Return the mode and bytes of every file."""
    return {name: (path.stat().st_mode, path.read_bytes()) for name, path in trees.files(tree)}


def test_same_answers_same_bytes(tmp_path: Path) -> None:
    answers = COMBINATIONS[-1]
    first = contents(trees.rendered(**answers))
    assert contents(trees.copy(tmp_path / "second", **answers)) == first
    (tmp_path / "answers.yml").write_text(yaml.safe_dump(answers), encoding="utf-8")
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--data-file"]
    command += [str(tmp_path / "answers.yml"), str(trees.template()), str(tmp_path / "third")]
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "1"}, check=True)
    assert contents(tmp_path / "third") == first
    (tmp_path / "third/Makefile").chmod(0o755)
    assert contents(tmp_path / "third") != first


NOTEBOOK = (
    '{"cells": [{"cell_type": "markdown", "metadata": {}, "source": []}],'
    ' "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n'
)
NESTED = "{% if team %}\n{% if task %}\n{% endif %}\n{% endif %}\n"
LATER = '_exclude: ["{{% if {} %}}docs/ci.md{{% endif %}}"]\n'
EMAIL = git("log", "-1", "--format=%ae")
AUTHOR = next((name for name in git("log", "--format=%an").splitlines() if " " in name), EMAIL)
# A check, a file to write (or to remove), and what the check must then report.
PLANTS: list[tuple[Check, str, str | bytes | None, str]] = [
    (parses, "src/x.py", "def\n", "src/x.py: "),
    (parses, "x.toml", "a = \n", "x.toml: "),
    (parses, "x.yaml", "a: b: c\n", "x.yaml: "),
    (parses, "x/y.yml", "[\n", "x/y.yml: "),
    (parses, "x.json", "{,}\n", "x.json: "),
    (parses, "x.ipynb", NOTEBOOK, "x.ipynb: "),
    (parses, "x.txt", b"\xff\n", "x.txt: "),
    (linted, "src/mlops/x.py", '"""X."""\n\nimport os\n', "F401"),
    (linted, "src/mlops/x.py", '"""X."""\n\nx = { }\n', "src/mlops/x.py:3:6: unformatted"),
    (rendered_through, "x.md", "{{ team }}\n", "x.md: braces are left"),
    (rendered_through, "x.md", "a }}\n", "x.md: braces are left"),
    (rendered_through, "x.yml", "a: ${{ b }}\nb: {% raw %}\n", "x.yml: braces are left"),
    (rendered_through, "x.yml", "a: ${{ b }}\nb: {{ c }}\n", "x.yml: braces are left"),
    (rendered_through, "Makefile", "{% endif %}\n", "Makefile: braces are left"),
    (rendered_through, "src/mlops/cli.py", 'f"{{ team }}"\n', "cli.py: braces are left"),
    (rendered_through, "src/mlops/project.py", 'f"{{}}"\n', "project.py: braces are left"),
    (rendered_through, "x.md.jinja", "x\n", "x.md.jinja: not a name"),
    (rendered_through, '"x".md', "x\n", '"x".md: not a name'),
    (rendered_through, "{x}.md", "x\n", "{x}.md: not a name"),
    (tidy, "x.md", "", "x.md: is empty"),
    (tidy, "x.md", "x", "x.md: ends with other than one newline"),
    (tidy, "x.md", "x\n\n", "x.md: ends with other than one newline"),
    (tidy, "x.md", "x \ny\n", "x.md: has trailing blanks"),
    (tidy, "x.md", "\tx\n", "x.md: has tabs"),
    (tidy, "x.md", b"x\r\n", "x.md: has carriage returns"),
    (anonymous, "x.md", "https://example.com/Someone/copier-mlops\n", "x.md: Someone/copier-mlops"),
    (anonymous, "x.md", f"by {AUTHOR}\n", "x.md: "),
    (anonymous, "x.md", f"by {EMAIL}\n", "x.md: "),
    (anonymous, "x.md", f"{ROOT}\n", f"x.md: {ROOT}"),
    (anonymous, trees.ANSWERS, f"team: {ROOT}\n", f"{trees.ANSWERS}: {ROOT}"),
    (selected, "src/mlops/registry/gto.py", "x\n", "gto.py: not asked for"),
    (selected, "environments/shadow.yaml", "x\n", "environments/shadow.yaml: not asked for"),
    (selected, "environments/staging.yaml", None, "environments/staging.yaml: missing"),
    (selected, "src/mlops/cli/base.py", None, "src/mlops/cli/base.py: missing"),
    (selected, ".dvcignore/", None, ".dvcignore: an empty folder"),
    (sparse, "template/x.jinja", NESTED, "x.jinja: nested 2 deep"),
    (sparse, "includes/x.md", "{% if team %}\n{% endif %}\n", "includes/x.md: nested 2 deep"),
    (sparse, "includes/x.md", "{% set x = 1 %}\n" * 99, " control lines to "),
    (sparse, "template/Makefile.jinja", "{% raw %}{% endraw %}\n" * 99, " control lines to "),
    (sparse, "template/#.jinja", "x\n", " files are templated"),
    (sparse, "template/{% if team %}x{% endif %}", "x\n", "x{% endif %}: a conditional name"),
    (excludes, "copier.yml", "_exclude: ['{% if team %}x{% endif %}']\n", "names nothing"),
    (excludes, "copier.yml", "_exclude: [Makefile]\n", "names nothing"),
    (excludes, "copier.yml", LATER.format("ci != 'gitlab'"), "'ci' is undefined"),
    (excludes, "copier.yml", LATER.format("ci | default != 'gitlab'"), "loses it"),
]


@pytest.mark.parametrize(
    ("check", "name", "content", "report"),
    PLANTS,
    ids=[f"{row[0].__name__}-{row[3]}" for row in PLANTS],
)
def test_planted_fault_is_reported(
    check: Check, name: str, content: str | bytes | None, report: str, tmp_path: Path
) -> None:
    clean = trees.template() if check in (sparse, excludes) else trees.rendered(**trees.BASE)
    tree = shutil.copytree(clean, tmp_path / "tree")
    # One name stands for many when it holds a #.
    for path in {tree / name.replace("#", str(number)) for number in range(50)}:
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if name.endswith("/"):
        (tree / name).mkdir()
    assert any(report in line for line in set(check(tree)) - set(check(clean)))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "deploy --env dev"),
        ({"VERSION": "2"}, "deploy --env dev -- 2"),
        ({"CI": "true"}, "deploy --env dev -- 1"),
        ({"TF_BUILD": "True", "ENV": "prod"}, "deploy --env prod -- 1"),
        ({"CI": "true", "VERSION": "2"}, "deploy --env dev -- 2"),
        ({"VERSION": "$(shell echo 3)", "ENV": "a b"}, "deploy --env a b -- $(shell echo 3)"),
    ],
)
def test_a_version_that_is_asked_for_wins(
    variables: dict[str, str], said: str, tmp_path: Path
) -> None:
    """Of a job's own, of release.env, which a runner that stays may still have, and of none."""
    tree = shutil.copytree(trees.rendered(**trees.BASE), tmp_path / "tree")
    (tree / "release.env").write_text("VERSION=1\n", encoding="utf-8")
    tool = tmp_path / "bin/uv"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$*"\n', encoding="utf-8")
    tool.chmod(0o755)
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    command = ["make", "--no-print-directory", "deploy"]
    done = subprocess.run(
        command,
        cwd=tree,
        env={"PATH": path, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"run mlops {said}"
