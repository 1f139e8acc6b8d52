"""What stands in an environment, drawn for a terminal."""

import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..settings import load_settings
from .analysis import quantile
from .journal import Journal, open_journal
from .targets import open_target
from .targets.base import State, Target, Window
from .traffic import Slot

SPAN = 10  # looks, one a second, that the figures of `--watch` are about; else of one second


def addresses(state: State) -> str:
    """Return where an environment answers, line by line."""
    if not state.address:
        return "Nothing answers here: `mlops serve`."
    if urlsplit(state.address).path:  # a cloud's endpoint has one path for everything
        return f"predictions {state.address}"
    return "\n".join(
        f"{what:<12}{state.address}{path}"
        for what, path in (
            ("predictions", "/predict"),
            ("description", "/docs"),
            ("readiness", "/ready"),
        )
    )


def show(environment: str, console: Console, watch: bool) -> None:
    """Print what stands; with ``watch``, every second until Ctrl-C."""
    target = open_target(environment, load_settings(environment))
    journal = open_journal(environment)
    marks: deque[Any] = deque([target.mark()], SPAN)
    time.sleep(1)
    if not watch:
        console.print(draw(environment, target, journal, marks[0]))
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(draw(environment, target, journal, marks[0]), refresh=True)
            marks.append(target.mark())
            try:
                time.sleep(1)
            except KeyboardInterrupt:
                return


def draw(environment: str, target: Target, journal: Journal, since: Any) -> Table:
    """Return the table of both slots: who answers which share, and how."""
    state, windows = target.state(), target.observe(since)
    drawn = Table(
        *("slot", "role", "version", "ready", "share", "requests", "errors", "p50", "p99"),
        title=f"{environment}  {state.address or 'down'}",
        caption=under_way(journal),
        title_justify="left",
        caption_justify="left",
    )
    for slot in ("blue", "green"):
        drawn.add_row(*row(slot, state, windows.get(slot), bool(journal.pending())))
    return drawn


def row(slot: Slot, state: State, window: Window | None, releasing: bool) -> list[str]:
    """Return one slot's figures; the champion before stands by unless there is a challenger."""
    traffic = state.traffic
    leads = slot == state.slots.champion
    share = traffic.champion if leads else traffic.challenger
    mirrored = f" + {traffic.mirror} % mirrored" if traffic.mirror and not leads else ""
    bar = "█" * round(share / 20)
    figures = ["", "", "", ""]
    if window and window.requests:
        times = [f"{quantile(window.latency, q):.0f} ms" for q in (0.5, 0.99)]
        if not sum(window.latency.counts):
            times = ["", ""]
        figures = [str(window.requests), f"{window.errors / window.requests:.1%}", *times]
    version = state.versions.get(slot)
    return [
        slot,
        ("champion" if leads else "challenger" if releasing else "stands by") if version else "",
        str(version or ""),
        {True: "yes", False: "no"}.get(state.ready.get(slot, False), "") if version else "",
        f"{share} % {bar}{mirrored}",
        *figures,
    ]


def under_way(journal: Journal) -> str:
    """Return what the release under way is at, or how the last one ended."""
    entries, made = journal.pending(), journal.deployments()
    if entries:
        step = next((entry for entry in reversed(entries) if entry.event == "step"), None)
        at = f"step {step.data['name']}" if step else "starting"
        return f"Release {made[-1].release} of version {made[-1].version}: {at}"
    return (
        f"Last: version {made[-1].version} by {made[-1].strategy}, {made[-1].verdict}"
        if made
        else "No release yet"
    )
