"""Registered versions: find, compare, make again, return to. And the data's versions."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .candidate import fetch
from .errors import MlopsError
from .lineage import Lineage, git, git_state, sha256
from .pipeline.validate import validate
from .registry import Version, open_registry
from .registry.base import find
from .scorer import SERVED
from .settings import Paths, load_params, load_settings
from .tracking import flatten


def version(number: int) -> Version:
    """Return a registered version."""
    return find(open_registry(load_settings()), number)


def related(data: str = "", commit: str = "") -> list[Version]:
    """Return the versions made from a data version or a commit, either named by its beginning."""
    return [
        found
        for found in open_registry(load_settings()).list()
        if (commit and found.commit.startswith(commit))
        or (
            data and any(v.startswith(data) for k, v in found.tags.items() if k.startswith("data."))
        )
    ]


def facts(number: int) -> dict[str, Any]:
    """Return all that is known of a version, flat: what it is made from, and what became of it."""
    found = version(number)
    known = Lineage.read(fetch(number)).model_dump(mode="json", exclude={"dependencies", "example"})
    return {
        **flatten(known),
        **{key: value for key, value in found.tags.items() if key not in known},
        "number": number,
        "commit": found.commit,
        "aliases": ", ".join(found.aliases),
    }


def difference(first: int, second: int) -> dict[str, tuple[Any, Any]]:
    """Return the facts and the dependencies in which two versions differ."""
    sides = []
    for number in (first, second):
        packages = Lineage.read(fetch(number)).dependencies
        sides.append(facts(number) | {f"package.{name}": v for name, v in packages.items()})
    one, other = sides
    return {
        key: (one.get(key), other.get(key))
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    }


def recreate(number: int) -> tuple[str, str]:
    """Train a version again from its lineage; return the registered and the new digest.

    It happens in a git worktree of the version's commit, with the packages of its lock file and
    its data from DVC's cache or remote: nothing here is touched.
    """
    found, original = version(number), Lineage.read(fetch(number))
    with worktree(found.commit) as folder:
        if original.parent:
            shutil.copytree(fetch(original.parent), folder / "models/parent")
        same = sha256(Path("uv.lock")) == original.lock
        python = [sys.executable] if same else ["uv", "run", "--locked", "python"]
        store = f"sqlite:///{folder / 'recreate.db'}"
        settings = {"PYTHONPATH": str(folder / "src"), "MLOPS_TRACKING_URI": store}
        dvc(["checkout", "data/prepared"], folder, python, settings, fallback="pull")
        dvc(["repro", "--force", "--single-item", "train"], folder, python, settings)
        return original.digest, sha256(folder / "models/candidate" / SERVED)


def switch(number: int) -> str:
    """Check out a version's code, parameters, data and model; return its commit."""
    found, state = version(number), git_state()
    if state.dirty or git("status", "--porcelain", "--untracked-files=no"):
        raise MlopsError("There are changes that a switch would overwrite: commit them first.")
    git("checkout", "--quiet", "--detach", found.commit)
    dvc(["checkout"], Path(), [sys.executable], {}, fallback="pull")
    return found.commit


def check_data(revision: str) -> None:
    """Hold the data of a git revision against today's validators.

    Raises:
        DataError: a validator rejects it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        target = root / "data/raw"
        target.parent.mkdir()
        command = ["get", ".", "data/raw", "--rev", revision, "--out", str(target), "--quiet"]
        dvc(command, Path(), [sys.executable], {})
        validate(load_params(), Paths(root))


def dvc(
    arguments: list[str],
    folder: Path,
    python: list[str],
    environment: dict[str, str],
    fallback: str = "",
) -> None:
    """Run DVC in ``folder``; if it fails, once more with ``fallback`` in its first word's place."""
    command = [*python, "-m", "dvc", *arguments]
    variables = {**os.environ, **environment}
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode and fallback:
        dvc([fallback, *arguments[1:]], folder, python, environment)
    elif done.returncode:
        raise MlopsError(f"dvc {' '.join(arguments)}: {done.stderr.strip()[-800:]}")


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Give a git worktree of a commit that shares this repository's DVC cache; remove it after."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "worktree"
        git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            cache = Path(".dvc/cache").resolve()
            (folder / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n")
            yield folder
        finally:
            git("worktree", "remove", "--force", str(folder))
