"""The journal in the provider's storage: a release that one machine began, another can finish.

There is no lock in such storage. A file says who is at work and until when, and is written anew all
the time; every file is only written as it was last read, so that of two controllers one is refused.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..cloud.base import ConflictError, Store
from ..errors import MlopsError
from ..lineage import now
from .journal import ABORT, BusyError, Entry, Event, Journal

HELD = 60.0  # seconds after which a controller that has not said so is no longer at work
TAKEN = "Another controller has taken this release over: it is at work, `mlops status` shows it."


class StoredJournal(Journal):
    """The entries of one environment, in one file that is written whole.

    Args:
        folder: deployments/<environment>, whose name the files have in the store too.
        store: where they lie.
        held: seconds that a controller is taken to be at work after it last said so.
    """

    def __init__(self, folder: Path, store: Store, held: float = HELD) -> None:
        super().__init__(folder)
        self.store, self.held = store, held
        self._stem = f"deployments/{folder.name}"
        self._tag = ""
        self._held: Hold | None = None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other controller out; raise :class:`BusyError` if one is at work."""
        hold, ended = Hold(self.store, f"{self._stem}/lock", self.held), threading.Event()
        hold.take(self.folder.name)

        def go_on() -> None:
            while not ended.wait(self.held / 4):
                with contextlib.suppress(MlopsError):  # the next entry says what is wrong
                    hold.renew()

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        self._held = hold
        try:
            yield
        finally:
            self._held = None
            ended.set()
            thread.join()
            hold.release()

    def hold(self) -> None:
        """Say that this controller is at work; raise :class:`BusyError` if another is by now."""
        if self._held:
            self._held.renew()

    def append(self, release: int, event: Event, **data: Any) -> None:
        """Write an entry; it is stored when this returns.

        Raises:
            BusyError: another controller has written since.
            MlopsError: it could not be written. Nothing that it announces may be done then.
        """
        self.hold()
        entry = Entry(release=release, time=now(), event=event, data=data)
        whole = self.read() + entry.model_dump_json().encode() + b"\n"
        try:
            self._tag = self.store.write(f"{self._stem}/journal.jsonl", whole, self._tag)
        except ConflictError as error:
            raise BusyError(TAKEN) from error

    def read(self) -> bytes:
        """Return all that was written."""
        content, self._tag = self.store.read(f"{self._stem}/journal.jsonl") or (b"", "")
        return content

    def ask_abort(self, why: str) -> None:
        """Ask the controller at work to roll back, or the next one."""
        self.store.write(f"{self._stem}/{ABORT}", why.encode())

    def abort_asked(self) -> str | None:
        """Return why a rollback is asked for; None if it is not."""
        found = self.store.read(f"{self._stem}/{ABORT}")
        return found[0].decode() if found else None

    def abort_heeded(self) -> None:
        """Forget that a rollback was asked for."""
        self.store.delete(f"{self._stem}/{ABORT}")


class Hold:
    """A file that says who is at work, and until when.

    Args:
        name: of the file.
        seconds: for which it holds, unless it is renewed.
    """

    def __init__(self, store: Store, name: str, seconds: float) -> None:
        self.store, self.name, self.seconds = store, name, seconds
        self._tag, self._renewed, self._lock = "", 0.0, threading.Lock()

    def take(self, environment: str) -> None:
        """Begin; raise :class:`BusyError` if somebody else is at work."""
        content, self._tag = self.store.read(self.name) or (b"{}", "")
        holder = json.loads(content)
        if holder.get("until", 0.0) > time.time():
            raise BusyError(
                f"A release is under way in {environment} ({holder['who']}): wait for it, watch it "
                "by `mlops status --watch`, or `mlops rollback`. One that was killed is forgotten "
                f"after {self.seconds:g} s."
            )
        self._write(self.seconds)

    def renew(self) -> None:
        """Go on; raise :class:`BusyError` if somebody else has begun."""
        with self._lock:
            if time.monotonic() - self._renewed > self.seconds / 8:
                self._write(self.seconds)

    def release(self) -> None:
        """End. What cannot be written ends by itself."""
        with self._lock, contextlib.suppress(MlopsError):
            self._write(0)

    def _write(self, seconds: float) -> None:
        who = f"process {os.getpid()} on {socket.gethostname()}"
        content = json.dumps({"who": who, "until": time.time() + seconds}).encode()
        try:
            self._tag = self.store.write(self.name, content, self._tag)
        except ConflictError as error:
            raise BusyError(TAKEN) from error
        self._renewed = time.monotonic()
