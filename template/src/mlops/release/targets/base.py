"""The protocol of every target, and what it tells."""

from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from ...errors import MlopsError
from ..traffic import Slot, Slots, Traffic


class DeployError(MlopsError):
    """A slot did not come up, or does not answer as it must."""


class Histogram(BaseModel):
    """Counts between edges: one more than there are edges, the last being above them all."""

    edges: list[float] = []
    counts: list[float] = []


class Window(BaseModel):
    """What one slot did in a span of time, mirrored requests included."""

    requests: int = 0
    errors: int = 0  # answered 5xx, or not at all
    latency: Histogram = Histogram()  # milliseconds
    predictions: Histogram = Histogram()
    versions: dict[str, int] = {}  # answers by the version that gave them
    outcomes: int = 0  # feedback received, its sum and its sum of squares
    total: float = 0.0
    squares: float = 0.0


class State(BaseModel):
    """What stands: the version in each slot, whether it is ready, and who answers."""

    versions: dict[Slot, int] = {}
    ready: dict[Slot, bool] = {}
    slots: Slots = Slots()
    traffic: Traffic = Traffic()
    address: str = ""  # where callers send their requests; empty where nothing runs


class Target(Protocol):
    """Carries out what a plan says. Every call can be repeated and then changes nothing.

    ``poll`` is how many seconds pass between two looks at it.
    """

    poll: float

    def refuse(self, traffic: Traffic) -> None:
        """Raise :class:`MlopsError` if this can't carry such traffic; asked before a plan."""

    def deploy(self, slot: Slot, version: int, folder: Path) -> None:
        """Put a model into a slot, and return once it is ready; it gets no traffic by this.

        Raises:
            DeployError: it crashed, or is not ready in time. The slot may be left half up.
        """

    def ask(
        self, slot: Slot | None, path: str, body: Any | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send one request straight to a slot, or (None) as callers do; return status and answer.

        Without a body it is a GET, with one a POST of it as JSON.
        """

    def route(self, traffic: Traffic, slots: Slots, lease: float | None = None) -> None:
        """Set the traffic, and return once it is so.

        With a ``lease``, all traffic goes back to the champion unless :meth:`route` is called
        again within that many seconds: nothing is left split with nobody watching.
        """

    def mark(self) -> Any:
        """Return this moment, for :meth:`observe`."""

    def observe(self, since: Any) -> dict[Slot, Window]:
        """Return what each slot did since then; a slot of which nothing is known is left out."""

    def remove(self, slot: Slot) -> None:
        """Take the model out of a slot that gets no traffic."""

    def state(self) -> State:
        """Return what stands now."""

    def stop(self) -> None:
        """Take everything down."""
