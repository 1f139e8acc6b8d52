"""Registered versions: find, compare, make again, return to. And the data's versions."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from . import project
from .candidate import fetch
from .errors import MlopsError
from .lineage import Lineage, data_versions, git, git_state, now, sha256, who
from .pipeline.validate import validate
from .registry import Version, open_registry
from .registry.base import find
from .scorer import SERVED
from .settings import Paths, Settings, load_params, load_settings
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


def release_data(environment: str, number: int = 0, why: str = "") -> dict[str, Any]:
    """Push the data of a version (0: of this commit), if it is good, to the environment's remote.

    Returns:
        The record.

    The record is a line of deployments/<environment>/data.jsonl.

    Raises:
        DataError: a validator rejects the data: nothing is pushed.
        MlopsError: dvc.lock is not committed, the remote is another environment's, or DVC fails.
    """
    remote = own_remote(environment)
    commit = version(number).commit if number else git("rev-parse", "HEAD")
    if not number and git("status", "--porcelain", "--", "dvc.lock"):
        raise MlopsError("dvc.lock is not committed, and a release names a commit: commit it.")
    data = data_versions(revision=commit)
    check_data(commit)
    record = {
        "time": now(),
        "who": who(),
        "why": why,
        "commit": commit,
        "remote": remote,
        "data": data,
    }
    ledger = Paths().deployments / environment / "data.jsonl"
    targets = [f"data/{name}" for name in data]
    try:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with ledger.open("a", encoding="utf-8") as file, worktree(commit) as folder:
            dvc(["fetch", "--quiet", *targets], folder, [sys.executable], {})
            dvc(["push", "--quiet", "--remote", remote, *targets], folder, [sys.executable], {})
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise MlopsError(f"{ledger} cannot be written: {error.strerror}.") from error
    return record


def own_remote(environment: str) -> str:
    """Return an environment's DVC remote; raise :class:`MlopsError` if it is not its own to write.

    It is what its file says, whatever MLOPS_REMOTE does, and only the last environment's file may
    name the last environment's.
    """
    last = project.ENVIRONMENTS[-1]
    remote, theirs = _remote_of(environment), _remote_of(last)
    if load_settings(environment).remote != remote:
        raise MlopsError(
            f"MLOPS_REMOTE names another remote than {remote!r}, which environments/"
            f"{environment}.yaml does: unset it."
        )
    if environment != last and remote == theirs:
        raise MlopsError(
            f"{remote!r} is {last}'s remote: {environment} may not write it. Name another under "
            f"remote: in environments/{environment}.yaml."
        )
    return remote


def _remote_of(environment: str) -> str:
    """Return the remote that an environment's file names."""
    load_settings(environment)  # refuses an unknown environment, or a wrong file
    given = yaml.safe_load(Path(f"environments/{environment}.yaml").read_text(encoding="utf-8"))
    return str((given or {}).get("remote", Settings.model_fields["remote"].default))


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


def _remotes() -> str:
    """Return this repository's DVC remotes as they are written elsewhere: by absolute paths."""
    config = ConfigParser(interpolation=None)
    config.read(".dvc/config", encoding="utf-8")
    urls = {name: config[name]["url"] for name in config.sections() if "url" in config[name]}
    return "".join(
        f"[{name}]\n    url = {url if '://' in url else (Path('.dvc') / url).resolve()}\n"
        for name, url in urls.items()
    )


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Give a git worktree of a commit that shares this repository's DVC cache and remotes."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "worktree"
        git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            cache = Path(".dvc/cache").resolve()
            (folder / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n{_remotes()}")
            yield folder
        finally:
            git("worktree", "remove", "--force", str(folder))
