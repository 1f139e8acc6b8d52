"""The last environment's data, masked, for those below it: in a DVC remote, named by a git tag."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import yaml

from . import lineage, project, validators
from .errors import MlopsError
from .lineage import git
from .mask import mask, masks
from .settings import Settings, load_gates, load_settings
from .versions import dvc, own_remote, version, worktree

REMOTE = "replica"  # of .dvc/config
FOLDER = "data/replica"
SHORTEST = 32  # characters of a key


def replicate(environment: str, number: int = 0, why: str = "") -> dict[str, Any]:
    """Mask the released data of a version (0: of this commit), and push it to the replica's remote.

    What is not masked lies in a temporary folder while this runs, and never in DVC's cache.

    Returns:
        The record: the message of a commit on top of the data's own, and the tag that names it.

    Raises:
        DataError: a validator rejects what was masked: nothing is pushed.
        MlopsError: there is no key, a personal column has no mask, or DVC fails.
    """
    key, remote = mask_key(load_settings(environment)), _source(environment)
    columns = project.schema.Records.to_schema().columns
    how = masks(columns)
    commit = version(number).commit if number else git("rev-parse", "HEAD")
    record = {
        "time": lineage.now(),
        "who": lineage.who(),
        "why": why,
        "commit": commit,
        "remote": remote,
        "data": lineage.data_versions(revision=commit).get("raw", ""),
        "masks": how,
    }
    tag = f"{REMOTE}/{commit[:10]}"
    with worktree(commit) as folder:
        _dvc(folder, "config", "--local", "cache.dir", str(folder.parent / "cache"))
        _dvc(folder, "pull", "--quiet", "--remote", remote, "data/raw")
        raw = {path.name: validators.read(path) for path in (folder / "data/raw").glob("*.parquet")}
        limits = load_gates().data.model_copy(update={"min_rows": 1})  # looked at on its release
        (folder / FOLDER).mkdir()
        for name, records in mask(raw, columns, key).items():
            validators.refuse(validators.validate(records, limits), f"{name}, masked,")
            records.to_parquet(folder / FOLDER / name, index=False)
        _dvc(folder, "add", "--quiet", FOLDER)
        _dvc(folder, "push", "--quiet", "--remote", REMOTE, f"{FOLDER}.dvc")
        with contextlib.chdir(folder):
            title = f"Data of {commit[:10]}, masked"
            message = f"{title}\n\n{yaml.safe_dump(record, sort_keys=False)}"
            lineage.commit([f"{FOLDER}.dvc"], message)
            git("tag", "--force", tag)
    return record | {"tag": tag}


def mask_key(settings: Settings) -> bytes:
    """Return MLOPS_MASK_KEY; raise :class:`MlopsError` if it is not set, or is easily guessed."""
    key = settings.mask_key.get_secret_value() if settings.mask_key else ""
    if len(key) < SHORTEST:
        raise MlopsError(
            f"MLOPS_MASK_KEY has {len(key)} characters, at least {SHORTEST} are needed: make one "
            "by `openssl rand -hex 32`, and keep it secret: whoever has it can undo the hashes."
        )
    return key.encode()


def _source(environment: str) -> str:
    """Return the remote that the data is released to."""
    last = project.ENVIRONMENTS[-1]
    if environment != last:
        raise MlopsError(f"The replica is of {last}'s data, not of {environment}'s: name {last}.")
    remote = own_remote(environment)
    if remote == REMOTE:
        raise MlopsError(
            f"environments/{environment}.yaml: remote is {REMOTE!r}, which others read: data that "
            "is not masked may not go there."
        )
    return remote


def _dvc(folder: Path, *arguments: str) -> None:
    dvc([*arguments], folder, [sys.executable], {})
