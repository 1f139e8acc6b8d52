from pathlib import Path
from typing import Any

from rich.console import Console

from mlops.release import status
from mlops.release.journal import Journal
from mlops.release.targets.base import Histogram, State, Window
from mlops.release.traffic import Slots, Traffic


class Standing:
    """A target in the middle of a release."""

    def state(self) -> State:
        return State(
            versions={"blue": 1, "green": 2},
            ready={"blue": True, "green": False},
            slots=Slots(champion="blue"),
            traffic=Traffic(champion=90, challenger=10),
            address="http://here",
        )

    def observe(self, since: Any) -> dict[Any, Window]:
        latency = Histogram(edges=[1, 2], counts=[0, 100, 0])
        return {"blue": Window(requests=100, errors=5, latency=latency)}


def drawn(folder: Path) -> list[str]:
    console = Console(width=120, record=True, file=(folder / "screen").open("w"))
    console.print(status.draw("dev", Standing(), Journal(folder), None))  # type: ignore[arg-type]
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_both_slots_are_shown_with_their_figures(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    facts = {"version": 2, "digest": "d", "gate": "g", "strategy": "canary", "slot": "green"}
    journal.append(1, "started", **facts, champion=1, who="me", why="")
    journal.append(1, "step", index=0, name="10 %", traffic="90/10")
    shown = "\n".join(drawn(tmp_path))
    assert "http://here" in shown
    assert "blue │ champion │ 1 │ yes │ 90 % ████ │ 100 │ 5.0% │ 2 ms │ 2 ms" in shown
    assert "green │ challenger │ 2 │ no │ 10 % │" in shown
    assert "Release 1 of version 2: step 10 %" in shown
    journal.append(1, "finished", verdict="promoted")
    assert "Last: version 2 by canary, promoted" in "\n".join(drawn(tmp_path))


def test_addresses_are_named(tmp_path: Path) -> None:
    assert "http://here/predict" in status.addresses(Standing().state())
    assert "mlops serve" in status.addresses(State())
    assert status.under_way(Journal(tmp_path)) == "No release yet"
