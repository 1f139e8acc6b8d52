"""Where a model comes from: code, data, parameters, environment, compute, parent."""

import getpass
import hashlib
import os
import platform
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from . import project
from .errors import MlopsError
from .settings import Params, Paths, Settings

FILE = "lineage.json"
# What the pipeline itself writes: a change there does not make the code dirty.
OUTPUTS = {"dvc.lock", "data/profile.json", "data/validation.json"}
OUTPUTS |= {"reports/metrics.json", "reports/curves.csv"}


class Git(BaseModel):
    """The state of the repository; ``commit`` is empty before the first one."""

    repository: str
    branch: str
    commit: str
    dirty: bool


class Compute(BaseModel):
    """What the model was trained on."""

    machine: str
    system: str
    python: str
    cpus: int
    gpu: str
    image: str


class Lineage(BaseModel):
    """All that is needed to say where a model comes from, and to make it again."""

    model: str = project.NAME
    task: str = project.TASK
    team: str = project.TEAM
    contact: str = project.CONTACT
    created: str
    reason: str
    kind: str
    hypothesis: str
    run: str
    parent: int
    digest: str  # SHA-256 of the served form
    git: Git
    data: dict[str, str]  # DVC's hash of each version of data that was read
    periods: dict[str, list[str]]
    params: dict[str, Any]
    lock: str  # SHA-256 of uv.lock
    dependencies: dict[str, str]
    compute: Compute
    inputs: dict[str, str]
    example: dict[str, Any]
    baseline: float | list[float]  # what the simplest model predicts: the training mean

    @classmethod
    def read(cls, folder: Path) -> "Lineage":
        """Read the lineage that lies beside a model."""
        path = folder / FILE
        if not path.is_file():
            raise MlopsError(f"{folder} holds no model ({FILE} is missing): run `make pipeline`.")
        return cls.model_validate_json(path.read_text(encoding="utf-8"))

    def write(self, folder: Path) -> None:
        """Write the lineage beside a model."""
        (folder / FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def environment(params: Params, paths: Paths, settings: Settings) -> dict[str, Any]:
    """Return the part of a lineage that is known before training."""
    lock = paths.root / "uv.lock"
    return {
        "created": now(),
        "reason": settings.reason,
        "kind": settings.kind,
        "hypothesis": params.train.hypothesis,
        "parent": params.train.parent,
        "git": git_state(paths.root),
        "data": data_versions(paths.root),
        "params": params.model_dump(mode="json", exclude={"tune"}),
        "lock": sha256(lock) if lock.is_file() else "",
        "dependencies": dependencies(lock),
        "compute": Compute(
            machine=platform.machine(),
            system=platform.platform(terse=True),
            python=platform.python_version(),
            cpus=os.cpu_count() or 1,
            gpu=os.environ.get("CUDA_VISIBLE_DEVICES", "none") or "none",
            image=settings.image or "none",
        ),
    }


def tags(facts: dict[str, Any]) -> dict[str, str]:
    """Return what every run is tagged with, from what :func:`environment` tells."""
    return {
        "digest.lock": facts["lock"],
        "parent": str(facts["parent"]),
        "hypothesis": facts["hypothesis"],
        **{f"git.{key}": str(value) for key, value in facts["git"].model_dump().items()},
        **{f"data.{key}": value for key, value in facts["data"].items()},
        **{f"compute.{key}": str(value) for key, value in facts["compute"].model_dump().items()},
    }


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git(*arguments: str, root: Path = Path()) -> str:
    """Run git and return what it prints; raise :class:`MlopsError` with git's own words."""
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MlopsError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def who() -> str:
    """Return who is at work: the CI platform's actor, or git's user, or the system's."""
    for name in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_REQUESTEDFOR"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        return git("config", "user.email")
    except MlopsError:
        return getpass.getuser()


def changed() -> list[str]:
    """Return the paths that differ from the last commit, new ones included."""
    status = git("status", "--porcelain", "--untracked-files=all")
    return [line[3:] for line in status.splitlines()]


def commit(paths: list[str], title: str) -> None:
    """Commit paths in the pipeline's name."""
    who = {"user.name": f"{project.NAME} pipeline", "user.email": project.CONTACT}
    identity = [part for key, value in who.items() for part in ("-c", f"{key}={value}")]
    git("add", "--all", "--", *paths)
    git(*identity, "commit", "--quiet", "--no-verify", "--message", title)


def keep() -> str:
    """Tag the commit that a version will name, and return the tag: branches move on."""
    tag = f"trained/{git('rev-parse', 'HEAD')[:10]}"
    git("tag", "--force", tag)
    return tag


def git_state(root: Path = Path()) -> Git:
    """Return commit, branch and whether anything but the pipeline's own outputs is changed."""
    try:
        status = git("status", "--porcelain", "--untracked-files=all", root=root).splitlines()
    except MlopsError:
        return Git(repository="", branch="", commit="", dirty=True)
    return Git(
        repository=_or_empty("remote", "get-url", "origin", root=root),
        branch=_or_empty("branch", "--show-current", root=root),
        commit=_or_empty("rev-parse", "--verify", "--quiet", "HEAD", root=root),
        dirty=any(line[3:] not in OUTPUTS for line in status),
    )


def data_versions(root: Path = Path(), revision: str | None = None) -> dict[str, str]:
    """Return DVC's hashes of data/raw and data/prepared, now or as of a git revision."""
    lock = root / "dvc.lock"
    if revision is not None:
        text = git("show", f"{revision}:dvc.lock", root=root)
    else:
        text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    stages = (yaml.safe_load(text) or {}).get("stages", {})
    outputs = [out for stage in stages.values() for out in stage.get("outs", [])]
    return {
        out["path"].removeprefix("data/"): out["md5"]
        for out in outputs
        if out["path"].startswith(("data/raw", "data/prepared"))
    }


def dependencies(lock: Path) -> dict[str, str]:
    """Return the packages that uv.lock pins, by name."""
    if not lock.is_file():
        return {}
    packages = tomllib.loads(lock.read_text(encoding="utf-8")).get("package", [])
    return {package["name"]: package["version"] for package in packages if "version" in package}


def _or_empty(*arguments: str, root: Path) -> str:
    try:
        return git(*arguments, root=root)
    except MlopsError:
        return ""
