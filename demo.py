"""From nothing to a gated, registered model: what `make demo` runs, each step timed.

Needs Python 3.11 or later, git and make. Everything is made below build/.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent
PROJECT = ROOT / "build/flight-delays"
IDENTITY = {"NAME": "Demo", "EMAIL": "demo@example.com"}
COLOURS = ["\033[2m", "\033[1m", "\033[32m", "\033[0m"]
DIM, BOLD, GREEN, PLAIN = COLOURS if sys.stdout.isatty() else [""] * 4

# What is done, where, and by which command.
STEPS: list[tuple[str, Path, list[str]]] = [
    ("bring uv and Copier", ROOT, ["make", "--no-print-directory", ".venv"]),
    (
        "copier copy",
        ROOT,
        [".venv/bin/copier", "copy", "--defaults", "--quiet", "--vcs-ref", "HEAD", ".", "PROJECT"],
    ),
    ("git init and commit", PROJECT, ["sh", "-c", "git init -q -b main && COMMIT 'Start'"]),
    ("make setup", PROJECT, ["make", "--no-print-directory", "setup"]),
    ("commit the lock file", PROJECT, ["sh", "-c", "COMMIT 'Lock the environment'"]),
    ("make candidate", PROJECT, ["make", "--no-print-directory", "candidate"]),
    ("commit the model", PROJECT, ["sh", "-c", "COMMIT 'First model'"]),
    ("make register", PROJECT, ["make", "--no-print-directory", "register"]),
]


def main() -> None:
    """Run the steps; end at the first that fails, with its exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is run before anything is checked
        sys.exit(f"Python {sys.version.split()[0]} is too old: 3.11 or later is needed.")
    shutil.rmtree(PROJECT, ignore_errors=True)
    shutil.rmtree(PROJECT.with_name("flight-delays-storage"), ignore_errors=True)
    PROJECT.parent.mkdir(exist_ok=True)
    times: list[tuple[str, float]] = []
    for name, folder, command in STEPS:
        print(f"{BOLD}{name}{PLAIN}", flush=True)
        started = time.perf_counter()
        code = run(command, folder)
        times.append((name, time.perf_counter() - started))
        if code:
            sys.exit(f"{name} failed with exit code {code}; the project is in {PROJECT}.")
    times.append(("all", sum(seconds for _, seconds in times)))
    table = ["| step | seconds |", "|---|---:|", *(f"| {n} | {s:.1f} |" for n, s in times)]
    (ROOT / "build/demo.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    print()
    for name, seconds in times:
        print(f"  {name:<22}{seconds:6.1f} s")
    report = PROJECT / "reports/report.html"
    print(f"\n{GREEN}A gated, registered champion.{PLAIN} Its report: {report.as_uri()}")


def run(command: list[str], folder: Path) -> int:
    """Run one step, its output indented as it comes; return its exit code."""
    commit = "git add --all && git commit --quiet --no-verify --message"
    command = [part.replace("PROJECT", str(PROJECT)).replace("COMMIT", commit) for part in command]
    roles = ("AUTHOR", "COMMITTER")
    who = {f"GIT_{role}_{key}": value for role in roles for key, value in IDENTITY.items()}
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**who, **os.environ, "COLUMNS": "96"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip():
            print(f"  {DIM}{line.rstrip()}{PLAIN}", flush=True)
    return child.wait()


if __name__ == "__main__":
    main()
