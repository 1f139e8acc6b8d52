"""The linters of pipelines: each has its files, and returns what it says about them."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import check_jsonschema
import npm
import yaml

BIN = Path(sys.executable).parent
SCHEMAS = Path(check_jsonschema.__file__).parent / "builtin_schemas/vendor"
AZURE = ["azure-pipelines/*.yml", "azure-pipelines/*/*.yml"]
GITLAB = [".gitlab-ci.yml", ".gitlab/ci/*.yml"]
WORKFLOWS = [".github/workflows/*.yml"]
# Where each platform writes what a shell runs.
SCRIPTS = {"after_script", "bash", "before_script", "inlineScript", "run", "script"}


@dataclass
class Linter:
    """A linter: which files it reads, and how it is called with them."""

    files: list[str]
    lint: Callable[[list[Path]], list[str]]


def called(*command: str | Path) -> list[str]:
    """Run a command; return its output if it has found something."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    return lines or [f"exit code {done.returncode}"] if done.returncode else []


def tool(name: str, *options: str) -> Callable[[list[Path]], list[str]]:
    """Return a linter that is a command of the environment."""
    return lambda files: called(BIN / name, *options, *files)


def actionlint(files: list[Path]) -> list[str]:
    """Lint workflows; it knows what an action takes by its version, not by the commit."""
    found = []
    for file in files:
        text = re.sub(r"@[0-9a-f]{40} # (v\d+)\S*", r"@\1", file.read_text(encoding="utf-8"))
        command = [BIN / "actionlint", "-oneline", f"-shellcheck={BIN / 'shellcheck'}"]
        done = subprocess.run(
            [*map(str, command), "-stdin-filename", str(file), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        found += (done.stdout + done.stderr).splitlines()
    return found


def schema(name: str, *options: str) -> Callable[[list[Path]], list[str]]:
    """Return a linter by one of check-jsonschema's own schemas."""
    return tool("check-jsonschema", "--builtin-schema", f"vendor.{name}", *options)


def script(name: str, *options: str | Path) -> Callable[[list[Path]], list[str]]:
    """Return a linter that is a script of tests/node; it prints only what is wrong."""

    def lint(files: list[Path]) -> list[str]:
        done = npm.run(name, *map(str, [*options, *files]))
        assert not done.returncode, done.stderr
        return done.stdout.splitlines()

    return lint


def scripts(node: Any) -> Iterator[str]:
    """Yield all that a shell runs in a pipeline."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in SCRIPTS and isinstance(value, str | list):
                yield "\n".join(value) if isinstance(value, list) else value
            else:
                yield from scripts(value)
    elif isinstance(node, list):
        for value in node:
            yield from scripts(value)


def shellcheck(files: list[Path]) -> list[str]:
    """Lint every script inside pipelines, and every script that is a file."""
    found = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        texts = scripts(yaml.safe_load(text)) if file.suffix == ".yml" else [text]
        for one in texts:
            # The platform replaces these before a shell reads them.
            plain = re.sub(r"\$\{\{.*?\}\}|\$\([A-Z][\w.]+\)", "value", one)
            command = [str(BIN / "shellcheck"), "--shell=bash", "--exclude=SC2148", "-"]
            done = subprocess.run(command, input=plain, capture_output=True, text=True, check=False)
            found += [f"{file}: {line}" for line in done.stdout.splitlines()]
    return found


LINTERS = {
    "schema of workflows": Linter(WORKFLOWS, schema("github-workflows")),
    "schema of actions": Linter([".github/actions/*/action.yml"], schema("github-actions")),
    "schema of forms": Linter([".github/ISSUE_TEMPLATE/[!c]*.yml"], schema("github-issue-forms")),
    "schema of the form's choice": Linter(
        [".github/ISSUE_TEMPLATE/config.yml"], schema("github-issue-config")
    ),
    "schema of GitLab": Linter(GITLAB, schema("gitlab-ci", "--data-transform", "gitlab-ci")),
    "schema of Azure": Linter(
        AZURE,
        schema(
            "azure-pipelines", "--regex-variant", "python", "--data-transform", "azure-pipelines"
        ),
    ),
    "schema of Renovate": Linter(["renovate.json"], schema("renovate")),
    "actionlint": Linter(WORKFLOWS, actionlint),
    "GitHub's parser": Linter(WORKFLOWS, script("github.mjs")),
    "Azure's language service": Linter(
        AZURE, script("azure.mjs", SCHEMAS / "azure-pipelines.json")
    ),
    "zizmor": Linter(
        [*WORKFLOWS, ".github/actions/*/action.yml"],
        tool("zizmor", "--offline", "--persona=auditor", "--quiet", "--no-progress"),
    ),
    "shellcheck": Linter(
        [*WORKFLOWS, ".github/actions/*/action.yml", *GITLAB, *AZURE, ".ci/run"], shellcheck
    ),
}
