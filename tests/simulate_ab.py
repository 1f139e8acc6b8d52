"""Simulates A/B tests that are looked at after every batch; prints rates as JSON.

Run by the generated project's own Python: its code is what is judged.
"""

import json
import sys

import numpy as np
from mlops.release.analysis import Evidence, winner
from mlops.release.targets.base import Window
from mlops.settings import Limits

BATCH, LOOKS = 200, 100  # outcomes of each arm between two looks, and how many looks


def speaks(rng: np.random.Generator, rates: tuple[float, float], naive: bool) -> str:
    """Return the first outcome other than "wait", if there is one in all looks."""
    sums = np.cumsum([rng.binomial(BATCH, rate, LOOKS) for rate in rates], axis=1)
    for look in range(LOOKS):
        n = BATCH * (look + 1)
        arms = [Window(outcomes=n, total=s, squares=s) for s in sums[:, look]]
        if naive:  # the textbook's two-sample z-test, which was not made to be repeated
            p, q = (arm.total / n for arm in arms)
            if abs(p - q) > 1.96 * np.sqrt((p * (1 - p) + q * (1 - q)) / n):
                return "pass" if q > p else "fail"
        elif (found := str(winner(Evidence(*arms, 2), Limits(), 100).outcome)) != "wait":
            return found
    return "wait"


def main() -> None:
    """Print the share of A/A tests that name a winner, of a fixed test's, and of lifts found."""
    runs, rng = int(sys.argv[1]), np.random.default_rng(20)
    rates = {
        "false": np.mean([speaks(rng, (0.2, 0.2), False) != "wait" for _ in range(runs)]),
        "naive": np.mean([speaks(rng, (0.2, 0.2), True) != "wait" for _ in range(runs // 10)]),
        "found": np.mean([speaks(rng, (0.2, 0.22), False) == "pass" for _ in range(runs // 10)]),
        "worse": np.mean([speaks(rng, (0.22, 0.2), False) == "fail" for _ in range(runs // 10)]),
    }
    print(json.dumps({name: float(rate) for name, rate in rates.items()}))


if __name__ == "__main__":
    main()
