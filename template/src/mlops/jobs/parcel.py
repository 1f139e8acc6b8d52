"""What travels to a job and back, and the places that both ends must see."""

import io
import tarfile
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel

from ..errors import MlopsError
from ..lineage import OUTPUTS, sha256

# Beside the commit: what the pipeline itself writes, and the study. Nothing else is brought back.
FILES = sorted({*OUTPUTS, "params.yaml", "tune.db"})
REQUEST, CODE, SENT = "request.json", "code.bundle", "sent.tar.gz"
MADE, EXIT = "made.tar.gz", "exit"
CLOUD = "MLOPS_JOB_CLOUD_"  # and a key of ``cloud``: its value as JSON
SQLITE = "sqlite:///"


class Request(BaseModel):
    """What is run, and what lineage says of where it comes from."""

    command: list[str]
    commit: str
    branch: str
    repository: str
    variables: dict[str, str]
    files: dict[str, str]  # SHA-256 of each that is sent


def digests(root: Path = Path()) -> dict[str, str]:
    """Return the SHA-256 of each of FILES that is in a folder."""
    return {name: sha256(root / name) for name in FILES if (root / name).is_file()}


def pack(root: Path = Path()) -> bytes:
    """Return an archive of those of FILES that are in a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in digests(root):
            archive.add(root / name, name)
    return buffer.getvalue()


def unpack(content: bytes, root: Path = Path()) -> None:
    """Write an archive's files into a folder; refuse one that holds anything but FILES."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        foreign = [file.name for file in archive if file.name not in FILES or not file.isreg()]
        if foreign:
            raise MlopsError(f"A job brought {', '.join(foreign)}: nothing of it was taken.")
        archive.extractall(root, filter="data")


def places(tracking_uri: str, root: Path = Path()) -> Iterator[tuple[str, Path]]:
    """Yield the storage that is a folder or file: by the key that names it, and its path."""
    if tracking_uri.startswith(SQLITE):
        yield "tracking_uri", Path(tracking_uri.removeprefix(SQLITE))
    config = ConfigParser(interpolation=None)
    config.read(root / ".dvc/config", encoding="utf-8")
    remote = config.get("core", "remote", fallback="")
    url = config.get(f"'remote \"{remote}\"'", "url", fallback="")
    if url and not urlsplit(url).netloc:
        yield f"url of remote {remote} in .dvc/config", Path(url)
