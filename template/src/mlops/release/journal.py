"""What was done in an environment, written before it is done: the ledger, and the way back.

One line of JSON an entry, flushed to the disk. A release whose last entry is not ``finished`` was
interrupted; its entries say where.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from ..errors import MlopsError
from ..lineage import now
from ..settings import Paths, load_settings

ABORT = "abort"  # the file by which an operator ends a release under way
Event = Literal["started", "deployed", "step", "judged", "promoting", "rolling-back", "finished"]


class BusyError(MlopsError):
    """Another controller is at work."""


class Entry(BaseModel):
    """One event of one release; ``data`` depends on the event."""

    release: int
    time: str
    event: Event
    data: dict[str, Any] = {}


class Deployment(BaseModel):
    """A release as the ledger shows it. ``verdict`` is empty while it is under way."""

    release: int
    version: int
    digest: str
    gate: str  # the gate record's signature
    strategy: str
    slot: str
    champion: int | None  # before
    weights: list[str] = []
    who: str
    why: str
    started: str
    finished: str = ""
    verdict: str = ""


class Journal:
    """The entries of one environment.

    Args:
        folder: deployments/<environment>.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "journal.jsonl"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other controller out; raise :class:`BusyError` if one is at work."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / "lock").open("a+")
        except OSError as error:
            raise unwritable(self.folder, error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), str(os.getpid()).encode())
            except BlockingIOError:
                file.seek(0)
                raise BusyError(
                    f"A release is under way in {self.folder.name} (process {file.read()}): wait "
                    "for it, watch it by `mlops status --watch`, or `mlops rollback`."
                ) from None
            except OSError as error:
                raise unwritable(self.folder, error) from error
            yield

    def hold(self) -> None:
        """Say that this controller is at work; raise :class:`BusyError` if another is by now.

        On one machine the lock itself says so.
        """

    def append(self, release: int, event: Event, **data: Any) -> None:
        """Write an entry; it is on the disk when this returns.

        Raises:
            MlopsError: it could not be written. Nothing that it announces may be done then.
        """
        entry = Entry(release=release, time=now(), event=event, data=data)
        line = entry.model_dump_json().encode() + b"\n"
        try:
            with self.path.open("ab") as file:
                torn = file.tell() > 0 and not self._ends_whole()
                file.write(b"\n" + line if torn else line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def read(self) -> bytes:
        """Return all that was written."""
        return self.path.read_bytes() if self.path.is_file() else b""

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first; a line that was cut short by a crash is none."""
        found = []
        for line in self.read().splitlines():
            with contextlib.suppress(ValueError):
                found.append(Entry.model_validate(json.loads(line)))
        return found

    def pending(self) -> list[Entry]:
        """Return the entries of the release that was interrupted, or none."""
        entries = self.entries()
        last = [entry for entry in entries if entry.release == entries[-1].release]
        return [] if not last or last[-1].event == "finished" else last

    def deployments(self) -> list[Deployment]:
        """Return the ledger, oldest first."""
        found: dict[int, Deployment] = {}
        for entry in self.entries():
            if entry.event == "started":
                facts = {k: v for k, v in entry.data.items() if k in Deployment.model_fields}
                found[entry.release] = Deployment(
                    release=entry.release, started=entry.time, **facts
                )
            elif entry.release in found:
                deployment = found[entry.release]
                if entry.event == "step":
                    deployment.weights.append(entry.data["traffic"])
                elif entry.event == "finished":
                    deployment.finished = entry.time
                    deployment.verdict = entry.data["verdict"]
        return list(found.values())

    def ask_abort(self, why: str) -> None:
        """Ask the controller at work to roll back, or the next one."""
        abort = self.folder / ABORT
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            new = abort.with_suffix(".new")  # never read half-written
            new.write_text(why, encoding="utf-8")
            new.replace(abort)
        except OSError as error:
            raise unwritable(abort, error) from error

    def abort_asked(self) -> str | None:
        """Return why a rollback is asked for; None if it is not."""
        abort = self.folder / ABORT
        return abort.read_text(encoding="utf-8") if abort.is_file() else None

    def abort_heeded(self) -> None:
        """Forget that a rollback was asked for."""
        (self.folder / ABORT).unlink(missing_ok=True)

    def _ends_whole(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"


def open_journal(environment: str) -> Journal:
    """Return an environment's journal: here, or in the storage of the provider it is released to.

    There, any machine can go on with a release that another has begun.
    """
    settings, folder = load_settings(environment), Paths().deployments / environment
    if settings.target == "local":
        return Journal(folder)
    store = import_module("mlops.cloud").open_store(settings, environment)
    module = import_module(".stored", __package__)
    journal: Journal = module.StoredJournal(folder, store)
    return journal


def unwritable(path: Path, error: OSError) -> MlopsError:
    """Return the refusal that follows from a folder that cannot be written."""
    return MlopsError(f"{path} cannot be written: {error.strerror}. Traffic stays as it is.")
