"""What the endpoints of the three clouds share: how they are asked, and what is known of them.

A slot is a variant or deployment of one endpoint, and runs the image of its version. The platform
knows one path only, ``/invocations``; what is meant for another travels in the body. It counts
requests and errors; all else the servers tell in their logs (``serving.figures``).
"""

import json
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from ...settings import Settings
from ..traffic import Slot
from .base import Window
from .figures import Figures, grown, own, read

EVERY = 10.0  # seconds between two lines of a server's counts
READY_SECONDS = 1800.0  # until a deployment is ready: machines are started for it
POLL = 10.0  # seconds between two looks at an operation


class Mark(NamedTuple):
    """A moment: seconds since 1970, and the counters of each server then, by slot."""

    time: float
    figures: dict[Slot, Figures]


class ManagedTarget:
    """The base of a cloud's target, which adds what is left of :class:`~.base.Target`."""

    def __init__(self, environment: str, settings: Settings) -> None:
        self.environment, self.settings = environment, settings
        self.poll = POLL

    def ask(
        self, slot: Slot | None, path: str, body: Any | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send one request to a slot, or (None) as callers do."""
        return self._invoke(slot, body if path == "/predict" else {"path": path, "body": body})

    def mark(self) -> Mark:
        """Return this moment, for :meth:`observe`."""
        now = time.time()
        return Mark(now, {slot: self._figures(slot, now - 3 * EVERY) for slot in self._slots()})

    def observe(self, since: Mark) -> dict[Slot, Window]:
        """Return what each slot did since then: the platform's counts, or the servers' if higher.

        Both come late, and neither has counted what did not happen.
        """
        found = {}
        for slot in self._slots():
            before = since.figures.get(slot, {})
            now = {**before, **self._figures(slot, since.time)}
            told = [grown(now, before, server) for server in now]
            seen = own([one for one in told if one is not None])
            requests, errors = self._counted(slot, since.time)
            found[slot] = seen.model_copy(
                update={
                    "requests": max(seen.requests, requests),
                    "errors": max(seen.errors, errors),
                }
            )
        return found

    def _figures(self, slot: Slot, since: float) -> Figures:
        """Return the counters that each server of a slot told last."""
        latest: Figures = {}
        for line in self._lines(slot, since):
            if line.startswith('{"figures"'):
                told = json.loads(line)["figures"]
                latest = {**latest, told["server"]: read(told["text"])}
        return latest

    def _variables(self, version: int) -> dict[str, str]:
        """Return what a server is started with; who may ask is the platform's to say."""
        return {
            "MLOPS_ENV": self.environment,
            "MLOPS_VERSION": str(version),
            "MLOPS_SERVING__AUTH": "off",
            "MLOPS_SERVING__CAPTURE": "false",  # its disk is gone with it
            "MLOPS_SERVING__FIGURES": str(EVERY),
        }

    def _slots(self) -> Iterable[Slot]:
        """Return the slots that hold a version."""
        raise NotImplementedError

    def _invoke(self, slot: Slot | None, body: Any) -> tuple[int, dict[str, Any]]:
        """Send JSON to the endpoint; return the server's own status and answer."""
        raise NotImplementedError

    def _lines(self, slot: Slot, since: float) -> Iterable[str]:
        """Yield what a slot's servers have logged since then, oldest first."""
        raise NotImplementedError

    def _counted(self, slot: Slot, since: float) -> tuple[int, int]:
        """Return the requests and the errors that the platform has counted since then."""
        raise NotImplementedError
