"""The five strategies: pure functions from parameters to a plan, a list of steps."""

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..settings import CHANGE, STRATEGY, Release
from .traffic import CHALLENGER, Traffic

Check = Literal["version", "errors", "latency", "distribution", "winner"]

HEALTH: tuple[Check, ...] = ("version", "errors")
QUALITY: tuple[Check, ...] = ("version", "errors", "latency", "distribution")


class Step(BaseModel):
    """A traffic state, how long it lasts at least (seconds), and what must hold to go on.

    A check passes on ``samples`` answers of the challenger or more; none are waited for if nothing
    is checked.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    traffic: Traffic
    hold: float = 0.0
    samples: int = 0
    checks: tuple[Check, ...] = ()


def plan(strategy: STRATEGY, release: Release) -> list[Step]:
    """Return the steps from all traffic to the champion to all of it to the challenger."""
    return PLANS[strategy](release)


def rolling(release: Release) -> list[Step]:
    """Replace a quarter after the other; only health is judged, so that it is quick."""
    return [
        _step(f"{share} %", Traffic(champion=100 - share, challenger=share), release, HEALTH)
        for share in (25, 50, 75)
    ] + [_step("100 %", CHALLENGER, release, HEALTH)]


def blue_green(release: Release) -> list[Step]:
    """Switch at once, watch, and keep the old slot as it is."""
    return [_step("switched", CHALLENGER, release, HEALTH)]


def canary(release: Release) -> list[Step]:
    """Give the challenger a few percent, then more; each step is judged against the champion."""
    return [
        _step(f"{share} %", Traffic(champion=100 - share, challenger=share), release, QUALITY)
        for share in release.steps
    ]


def ab(release: Release) -> list[Step]:
    """Let each caller always meet the same model, until the outcomes tell which one is better."""
    traffic = Traffic(champion=100 - release.share, challenger=release.share, sticky=True)
    return [_step(f"A/B {release.share} %", traffic, release, (*QUALITY, "winner"))]


def shadow(release: Release) -> list[Step]:
    """Copy requests to the challenger, whose answers nobody hears; then switch."""
    return [_step("mirrored", Traffic(mirror=release.mirror), release, QUALITY)]


def rehearsed(steps: list[Step]) -> list[Step]:
    """Leave out what only people's requests can tell: made-up records are like nobody's."""
    return [
        step.model_copy(update={"checks": tuple(c for c in step.checks if c != "distribution")})
        for step in steps
    ]


def choose(change: CHANGE) -> STRATEGY:
    """Return the strategy that suits a kind of change.

    More data or features: little is expected to differ, so a few callers try it first. Another
    algorithm: everything may differ, so the old slot stands ready in full. A question of which is
    better: callers decide it.
    """
    return CHANGES[change]


def _step(name: str, traffic: Traffic, release: Release, checks: tuple[Check, ...]) -> Step:
    return Step(
        name=name, traffic=traffic, hold=release.hold, samples=release.min_samples, checks=checks
    )


CHANGES: dict[CHANGE, STRATEGY] = {
    "retrained": "canary",
    "algorithm": "blue-green",
    "comparison": "ab",
}
PLANS: dict[STRATEGY, Callable[[Release], list[Step]]] = {
    "rolling": rolling,
    "blue-green": blue_green,
    "canary": canary,
    "ab": ab,
    "shadow": shadow,
}
