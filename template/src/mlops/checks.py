"""The tiers of `mlops check`, the quickest first: the first failure ends it."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from rich.console import Console

from . import project
from .errors import MlopsError
from .lineage import git_state

PYTEST = ["pytest", "--quiet"]
PARALLEL = ["--numprocesses", "auto", "--maxprocesses", "4"]
PACKAGE_ENVIRONMENT = ".venv/package"
# Asks OSV (osv.dev) for each package of uv.lock; unless there is an answer, it fails.
AUDIT = ["uv", "audit", "--locked", "--preview-features", "audit-command"]
TIERS: dict[str, list[list[str]]] = {
    "lint": [["ruff", "check"], ["ruff", "format", "--check"], ["lint-imports", "--no-logo"]],
    "types": [["mypy"]],
    "unit": [[*PYTEST, *PARALLEL, "tests/unit", f"tests/{project.PACKAGE}", "-m", "not slow"]],
    # Of the package as it is built, not of the source: it tests both.
    "integration": [
        ["uv", "build", "--wheel", "--quiet"],
        ["uv", "sync", "--locked", "--no-editable", "--reinstall-package", project.NAME, "--quiet"],
        ["uv", "pip", "check", "--python", PACKAGE_ENVIRONMENT, "--quiet"],
        [f"{PACKAGE_ENVIRONMENT}/bin/python", "-m", *PYTEST, "tests/integration"],
    ],
    "model": [[*PYTEST, "tests/model"]],
    "serving": [[*PYTEST, "tests/serving"]],
    "notebooks": [[*PYTEST, "tests/notebooks"]],
    "security": [["python", "-m", "mlops.secret_scan"], AUDIT],
    "system": [[*PYTEST, "-rs", "tests/system"]],
}
NAMED = {"serving", "security", "system"}  # start servers or ask some: run only if they are named
if "online" not in project.SERVING:
    del TIERS["serving"]


def check(tiers: list[str], console: Console) -> None:
    """Run tiers in their order; raise :class:`MlopsError` at the first command that fails."""
    unknown = set(tiers) - TIERS.keys()
    if unknown:
        raise MlopsError(f"There is no tier {unknown.pop()!r}: there are {', '.join(TIERS)}.")
    for name, commands in TIERS.items():
        if name not in (tiers or TIERS.keys() - NAMED):
            continue
        started = time.perf_counter()
        for command in commands:
            if command is AUDIT and os.environ.get("MLOPS_OFFLINE"):
                console.print("[yellow]security: packages are NOT audited: MLOPS_OFFLINE is set")
                continue
            console.print(f"[dim]{name}:[/] {' '.join(command)}")
            environment = dict(os.environ)
            if name == "integration":
                environment["UV_PROJECT_ENVIRONMENT"] = PACKAGE_ENVIRONMENT
            if subprocess.run(command, env=environment, check=False).returncode:
                raise MlopsError(f"{name} failed: {' '.join(command)}")
        console.print(f"[green]{name}[/] {time.perf_counter() - started:.1f} s")


def quality(path: Path) -> dict[str, float | str]:
    """Measure the code, write the figures to ``path``, and refuse those past their limits.

    Coverage (percent, of the unit tests), lint findings, and the highest cyclomatic complexity.
    """
    limits = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    limits = limits["tool"]["mlops"]["quality"]
    report = path.with_name("coverage.json")
    tests = [*TIERS["unit"][0], "--cov", f"--cov-report=json:{report}"]
    run = subprocess.run(tests, stdout=sys.stderr, check=False)
    if run.returncode:
        raise MlopsError("The unit tests fail, so their coverage says nothing.")
    covered = json.loads(report.read_text(encoding="utf-8"))["totals"]["percent_covered"]
    figures: dict[str, float | str] = {
        "commit": git_state().commit,
        "coverage": round(covered, 1),
        "lint": len(_ruff()),
        "complexity": max(_complexities(), default=1),
    }
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if covered < limits["coverage"]:
        raise MlopsError(f"quality.coverage: {covered:.1f} %, the limit is {limits['coverage']} %.")
    if figures["lint"]:
        raise MlopsError(f"quality.lint: {figures['lint']} findings: run `ruff check`.")
    if float(figures["complexity"]) > limits["complexity"]:
        raise MlopsError(
            f"quality.complexity: {figures['complexity']}, the limit is {limits['complexity']}."
        )
    return figures


def _ruff(*options: str) -> list[dict[str, str]]:
    command = ["ruff", "check", "--exit-zero", "--output-format=json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    findings: list[dict[str, str]] = json.loads(done.stdout)
    return findings


def _complexities() -> list[int]:
    found = _ruff("--select=C901", "--config=lint.mccabe.max-complexity=0", "src")
    return [int(re.search(r"\((\d+) >", one["message"])[1]) for one in found]  # type: ignore[index]
