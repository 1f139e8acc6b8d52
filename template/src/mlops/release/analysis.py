"""Judges a challenger by what it did. Too little is known: wait, never pass, never fail."""

import math
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel

from ..settings import Limits
from .strategies import Step
from .targets.base import Histogram, Window

SURE = 3.0  # standard errors: what is refused is refused for good, however often one looks
FEWEST = 5  # bad answers, below which chance is the better explanation
TAIL = 0.01  # what lies beyond a p99
SPREAD = 0.05  # the A/B test looks for effects of about this many standard deviations


class Verdict(BaseModel):
    """What one check says. ``samples`` is what it is based on."""

    check: str
    outcome: Literal["pass", "fail", "wait"]
    value: float = 0.0
    limit: float = 0.0
    samples: int = 0
    note: str = ""

    def __str__(self) -> str:
        if self.note and not self.value and not self.limit:
            return f"{self.check}: {self.note}"
        note = f" ({self.note})" if self.note else ""
        return f"{self.check}: {self.value:.4g}, allowed is at most {self.limit:.4g}{note}"


class Evidence(NamedTuple):
    """Both slots in the same span of time; None where nothing is known."""

    champion: Window | None
    challenger: Window | None
    version: int  # that should answer in the challenger's slot


def judge(step: Step, evidence: Evidence, limits: Limits) -> list[Verdict]:
    """Return the verdict of each of the step's checks."""
    return [CHECKS[name](evidence, limits, step.samples) for name in step.checks]


def version(evidence: Evidence, limits: Limits, samples: int) -> Verdict:
    """Only the challenger answers in its slot."""
    seen = evidence.challenger.versions if evidence.challenger else {}
    others = {name: n for name, n in seen.items() if name != str(evidence.version) and n}
    total = sum(seen.values())
    outcome: Literal["pass", "fail", "wait"] = "pass" if total >= samples else "wait"
    return Verdict(
        check="version",
        outcome="fail" if others else outcome,
        value=sum(others.values()),
        samples=total,
        note=f"answered by version {', '.join(sorted(others))}" if others else "",
    )


def errors(evidence: Evidence, limits: Limits, samples: int) -> Verdict:
    """Errors beyond those that the champion has too are few."""
    ours, theirs = evidence.challenger, evidence.champion
    if ours is None:
        return Verdict(check="errors", outcome="wait", limit=limits.errors)
    known = theirs is not None and theirs.requests >= samples
    common = theirs.errors / theirs.requests if theirs and known else 0.0
    return _share("errors", ours.errors, ours.requests, limits.errors + common, samples)


def latency(evidence: Evidence, limits: Limits, samples: int) -> Verdict:
    """One answer in a hundred, or fewer, is slower than a multiple of the champion's p99."""
    ours, theirs = evidence.challenger, evidence.champion
    n, m = (sum(side.latency.counts) if side else 0 for side in (ours, theirs))
    if ours is None or theirs is None or m < samples:
        return Verdict(check="latency", outcome="wait", limit=TAIL, samples=int(min(n, m)))
    allowed = max(limits.latency_ms, limits.latency * quantile(theirs.latency, 1 - TAIL))
    slow = above(ours.latency, allowed)
    p99 = quantile(ours.latency, 1 - TAIL) if n else 0.0
    note = f"share above {allowed:.1f} ms; p99 is {p99:.1f} ms"
    return _share("latency", slow, int(n), TAIL, samples, note)


def distribution(evidence: Evidence, limits: Limits, samples: int) -> Verdict:
    """Predictions are spread as the champion's are: no further away than a share of its spread."""
    ours, theirs = evidence.challenger, evidence.champion
    n = sum(ours.predictions.counts) if ours else 0
    m = sum(theirs.predictions.counts) if theirs else 0
    limit = limits.distribution
    if not ours or not theirs or min(n, m) < max(samples, FEWEST):
        return Verdict(check="distribution", outcome="wait", limit=limit, samples=int(min(n, m)))
    value, error = distance(theirs.predictions, ours.predictions)
    outcome: Literal["pass", "fail", "wait"] = "wait"
    if value > limit + SURE * error:
        outcome = "fail"
    elif value <= limit + error:
        outcome = "pass"
    return Verdict(
        check="distribution", outcome=outcome, value=value, limit=limit, samples=int(min(n, m))
    )


def winner(evidence: Evidence, limits: Limits, samples: int) -> Verdict:
    """The challenger's outcomes are better on average (more is better), or they are worse."""
    ours, theirs = evidence.challenger, evidence.champion
    limit = limits.significance
    if not ours or not theirs or min(ours.outcomes, theirs.outcomes) < max(2, samples):
        known = min(side.outcomes if side else 0 for side in (ours, theirs))
        return Verdict(check="winner", outcome="wait", value=1.0, limit=limit, samples=known)
    p = always_valid_p(ours, theirs)
    lift = ours.total / ours.outcomes - theirs.total / theirs.outcomes
    decided: Literal["pass", "fail"] = "pass" if lift > 0 else "fail"
    return Verdict(
        check="winner",
        outcome=decided if p <= limit else "wait",
        value=p,
        limit=limit,
        samples=min(ours.outcomes, theirs.outcomes),
        note=f"the challenger's outcomes are {lift:+.4g} against the champion's",
    )


def always_valid_p(one: Window, other: Window) -> float:
    """Return a p-value of "no difference in the mean outcome" that holds at every look.

    The mixture sequential probability ratio test of Johari, Koomen, Pekelis and Walsh, "Always
    Valid Inference: Continuous Monitoring of A/B Tests", Operations Research 70 (2022), with the
    normal approximation and a normal mixture.
    """
    spread = variance(one) / one.outcomes + variance(other) / other.outcomes
    if spread == 0:
        return 1.0
    mixture = SPREAD**2 * (variance(one) + variance(other)) / 2
    difference = one.total / one.outcomes - other.total / other.outcomes
    exponent = difference**2 * mixture / (2 * spread * (spread + mixture))
    likelihood = 0.5 * math.log(spread / (spread + mixture)) + exponent
    return math.exp(-max(0.0, likelihood))


def variance(window: Window) -> float:
    """Return the variance of the outcomes."""
    mean = window.total / window.outcomes
    return max(0.0, window.squares / window.outcomes - mean**2)


def quantile(histogram: Histogram, share: float) -> float:
    """Return the value below which ``share`` of the counts lie, straight lines between edges."""
    counts = np.asarray(histogram.counts, dtype=float)
    reached = np.cumsum(counts)
    wanted = share * reached[-1]
    index = int(np.searchsorted(reached, wanted))
    edges = [0.0, *histogram.edges, histogram.edges[-1]]
    before = reached[index] - counts[index]
    part = (wanted - before) / counts[index] if counts[index] else 0.0
    return float(edges[index] + part * (edges[index + 1] - edges[index]))


def above(histogram: Histogram, value: float) -> float:
    """Return how many counts lie above ``value``, straight lines between edges."""
    edges = [0.0, *histogram.edges]
    total = 0.0
    for index, count in enumerate(histogram.counts):
        low = edges[index]
        high = edges[index + 1] if index + 1 < len(edges) else math.inf
        if low >= value:
            total += count
        elif high > value:
            total += count * (high - value) / (high - low) if math.isfinite(high) else count
    return total


def distance(reference: Histogram, other: Histogram) -> tuple[float, float]:
    """Return the earth mover's distance, and its standard error were both the same.

    Both in standard deviations of ``reference``, which count as no less than five bins. It is
    the area between the two cumulative distributions (Ramdas, Garcia Trillos and Cuturi, "On
    Wasserstein Two-Sample Testing and Related Families of Nonparametric Tests", Entropy 19, 2017):
    a prediction that moves a little counts a little, wherever the bins' edges lie.
    """
    edges = np.asarray(reference.edges, dtype=float)
    before, now = np.asarray(reference.counts), np.asarray(other.counts)
    widths = np.diff(edges)
    F, G = (np.cumsum(counts)[:-1] / counts.sum() for counts in (before, now))
    middles = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
    share = before / before.sum()
    mean = share @ middles
    spread = math.sqrt(share @ (middles - mean) ** 2)
    bins = np.concatenate([widths[:1], widths, widths[-1:]])  # the outermost are open
    scale = max(spread, 5 * float(share @ bins))
    # Each edge's step is half the width on either side of it.
    steps = (bins[:-1] + bins[1:]) / 2
    size = math.sqrt(1 / before.sum() + 1 / now.sum())
    value = np.abs(F - G) @ steps
    error = size * (np.sqrt(F * (1 - F)) @ steps)
    return float(value / scale), float(error / scale)


def _share(
    check: str, bad: float, total: int, limit: float, samples: int, note: str = ""
) -> Verdict:
    """Hold a share against a limit: refused when surely above (Wilson's lower bound)."""
    share = bad / total if total else 0.0
    outcome: Literal["pass", "fail", "wait"] = "wait"
    if bad >= FEWEST and lower_bound(bad, total) > limit:
        outcome = "fail"
    elif total >= samples and share <= limit:
        outcome = "pass"
    return Verdict(check=check, outcome=outcome, value=share, limit=limit, samples=total, note=note)


def lower_bound(bad: float, total: int, z: float = SURE) -> float:
    """Return the lower end of Wilson's interval for a share (JASA 22, 1927)."""
    share = bad / total
    centre = share + z * z / (2 * total)
    width = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (centre - width) / (1 + z * z / total)


CHECKS = {
    "version": version,
    "errors": errors,
    "latency": latency,
    "distribution": distribution,
    "winner": winner,
}
