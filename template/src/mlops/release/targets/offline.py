"""Where no model answers online: a release moves the champion's name, and nothing else."""

from pathlib import Path
from typing import Any

from ..traffic import Slot, Slots, Traffic
from .base import State, Window


class OfflineTarget:
    """Holds no slot and carries no traffic."""

    poll = 1.0

    def refuse(self, traffic: Traffic) -> None:
        """Nothing is asked for."""

    def deploy(self, slot: Slot, version: int, folder: Path) -> None:
        """Batches and bundles take the champion by its name."""

    def ask(
        self, slot: Slot | None, path: str, body: Any | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Answer that nothing is here."""
        return 404, {}

    def route(self, traffic: Traffic, slots: Slots, lease: float | None = None) -> None:
        """Carry no traffic."""

    def mark(self) -> None:
        """Return no moment: nothing happens."""

    def observe(self, since: Any) -> dict[Slot, Window]:
        """Return nothing."""
        return {}

    def remove(self, slot: Slot) -> None:
        """Hold nothing."""

    def state(self) -> State:
        """Return that nothing stands."""
        return State()

    def stop(self) -> None:
        """Hold nothing."""
