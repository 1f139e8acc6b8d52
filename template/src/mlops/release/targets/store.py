"""What an environment should run, and what runs: two files between the target and its supervisor.

The target writes the desired state and the supervisor makes it so. Of the desired state the
supervisor changes one thing: traffic whose lease has run out goes back to the champion.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from ...errors import MlopsError
from ...settings import Serving
from ..traffic import Slot, Slots, Traffic


class Model(BaseModel):
    """What a slot runs: one replica on each port."""

    version: int
    folder: str
    ports: list[int]


class Desired(BaseModel):
    """What should run. ``serving`` stays as it was when the environment was started."""

    serving: Serving
    admin: int  # Envoy's own port
    models: dict[Slot, Model] = {}
    slots: Slots = Slots()
    traffic: Traffic = Traffic()
    lease: float | None = None  # the time at which the traffic goes back
    lapsed: str = ""  # when it last did
    stopped: bool = False


class Process(BaseModel):
    """A process that was started. Its start time tells it from a stranger with its number."""

    pid: int
    started: float
    port: int
    exits: int = 0  # how often it has ended by itself
    deadline: float | None = None  # it was told to end, and is killed then


class Processes(BaseModel):
    """What runs, by name: ``envoy``, ``blue-0``, ..."""

    running: dict[str, Process] = {}
    leaving: dict[str, Process] = {}


class Store:
    """The files of one environment.

    Args:
        folder: deployments/<environment>.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.logs = folder.absolute(), folder.absolute() / "logs"
        self.path, self.processes_path = folder / "state.json", folder / "processes.json"

    @contextlib.contextmanager
    def edit(self, initial: Desired | None = None) -> Iterator[Desired]:
        """Yield the desired state, and write it if it was changed; one at a time.

        Raises:
            MlopsError: it cannot be written, or there is none and nothing ``initial``.
        """
        with self._open("state.lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = self.desired()
            desired = before or initial
            if desired is None:
                raise MlopsError(f"Nothing runs in {self.folder.name}.")
            desired = desired.model_copy(deep=True)
            yield desired
            if desired != before:
                self.write(self.path, desired.model_dump_json(indent=1))

    def desired(self) -> Desired | None:
        """Return what should run, or None where nothing was ever started."""
        try:
            return Desired.model_validate_json(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def processes(self) -> Processes:
        """Return what runs, as the supervisor last wrote it."""
        try:
            text = self.processes_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Processes()
        return Processes.model_validate_json(text)

    @contextlib.contextmanager
    def supervised(self) -> Iterator[None]:
        """Be the environment's supervisor; raise :class:`MlopsError` if there is one."""
        with self._open("supervisor.lock") as file:
            for patience in (True,) * 10 + (False,):  # who looks for a supervisor holds it shortly
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not patience:
                        raise MlopsError(f"{self.folder.name} has a supervisor already.") from None
                    time.sleep(0.02)
            yield

    def has_supervisor(self) -> bool:
        """Tell whether one lives: the system gives its lock back when it dies."""
        with self._open("supervisor.lock") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def write(self, path: Path, text: str) -> None:
        """Replace a file; raise :class:`MlopsError` and leave it as it is if that fails."""
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with new.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise _unwritable(path, error) from error

    def tail(self, name: str, lines: int = 8) -> str:
        """Return the last lines of a process' log."""
        path = self.logs / f"{name}.log"
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _open(self, name: str) -> IO[str]:
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            return (self.folder / name).open("a")
        except OSError as error:
            raise _unwritable(self.folder / name, error) from error


def _unwritable(path: Path, error: OSError) -> MlopsError:
    return MlopsError(f"{path} cannot be written: {error.strerror}. Nothing was changed.")
