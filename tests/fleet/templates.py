"""Templates and repositories for the tests of factory: made up, and this repository's releases."""

import atexit
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import trees
import yaml
from copier import Settings, run_copy

from factory.fleet import ANSWERS, Member
from factory.render import Rendering
from factory.template import Template

ROOT = Path(__file__).parents[2]
STRICT = "_envops: {undefined: jinja2.StrictUndefined}\n"
ANSWERS_FILE = "{{ _copier_answers | to_nice_yaml }}"
Files = Mapping[str, str | bytes | None]
Contents = dict[str, tuple[bool, bytes]]

_scratch = Path(tempfile.mkdtemp(prefix="factory-tests-"))
atexit.register(shutil.rmtree, _scratch, ignore_errors=True)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as nobody in particular."""
    people = {
        f"GIT_{role}_{key}": "t" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
    }
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **people}, capture_output=True, check=False
    )
    assert not done.returncode, done.stderr.decode()
    return done.stdout.decode(errors="surrogateescape").strip()


def commit(folder: Path, files: Files, tag: str = "") -> str:
    """Write files (None takes one away), commit everything, and return the commit."""
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "--quiet", "--initial-branch", "main")
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", tag or "Change")
    if tag:
        git(folder, "tag", tag)
    return git(folder, "rev-parse", "HEAD")


def project(folder: Path, template: Path, version: str, **answers: Any) -> Member:
    """Generate a repository with Copier, commit it, and return it as a member of a fleet."""
    copied(template, folder, version, **answers)
    commit(folder, {})
    return Member(source=str(folder), ring="all")


def copied(template: Path, target: Path, version: str | None = None, **answers: Any) -> Path:
    """Return what Copier gives."""
    run_copy(
        str(template),
        target,
        data=answers,
        vcs_ref=version,
        defaults=True,
        quiet=True,
        settings=Settings(),
    )
    return target


def contents(tree: Path) -> Contents:
    """Return whether every file can be run, and its bytes."""
    return {
        name: (bool(path.stat().st_mode & 0o100), path.read_bytes())
        for name, path in trees.files(tree)
        if not name.startswith(".git/")
    }


def rendered(template: Template, rendering: Rendering) -> Contents:
    """Return a rendering as `contents` has a tree."""
    names = {name for _, name in rendering.files.values()} - set(rendering.made)
    blobs = template.git.blobs(sorted(names)) | rendering.made
    return {path: (mode == "100755", blobs[name]) for path, (mode, name) in rendering.files.items()}


def recorded(tree: Path) -> dict[str, Any]:
    """Return what the answers file of a tree says."""
    found: dict[str, Any] = yaml.safe_load((tree / ANSWERS).read_text(encoding="utf-8"))
    return found


@cache
def released() -> Path:
    """Return a clone of this repository that has the tags of its released versions."""
    target = _scratch / "released"
    git(ROOT, "clone", "--quiet", "--no-checkout", str(ROOT), str(target))
    for name, hash_ in tomllib.loads((ROOT / "releases.toml").read_text())["releases"].items():
        git(target, "tag", "--force", name, hash_)
    git(target, "checkout", "--quiet", "--detach", name)
    return target


@cache
def working_copy() -> Path:
    """Return a repository of one tagged commit with the template as it lies."""
    target = _scratch / "copier-mlops"
    shutil.copytree(trees.template(), target)
    commit(target, {}, "99.0.0")
    return target
