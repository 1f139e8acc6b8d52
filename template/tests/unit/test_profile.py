from typing import Any

import pandas as pd
import pytest

from mlops.profile import CATEGORIES, profile, skew


def test_golden_profile() -> None:
    frame = pd.DataFrame({"n": [*range(10), None], "t": [*"aaabbbbbbb", None]})
    found = profile(frame)
    assert found["n"]["edges"] == pytest.approx([0.9 * i for i in range(1, 10)])
    assert found["n"]["counts"] == [1] * 10
    assert (found["n"]["mean"], found["n"]["nulls"], found["n"]["rows"]) == (4.5, 1, 11)
    assert found["t"] == {"rows": 11, "nulls": 1, "values": {"b": 7, "a": 3}, "other": 0}


def test_rare_values_are_counted_together() -> None:
    found = profile(pd.DataFrame({"t": [f"v{n:03}" for n in range(CATEGORIES + 7)]}))["t"]
    assert (len(found["values"]), found["other"]) == (CATEGORIES, 7)


@pytest.mark.parametrize(
    ("before", "now", "distance"),
    [
        (["a", "b"], ["b", "a", "a", "b"], 0.0),
        (["a", "a"], ["b", "b"], 1.0),
        (["a", "b"], ["a", "a"], 0.5579),  # by hand: the root of 1/2 (1 - 0.7925) + 1/2 (0.4150)
        (["a", "a"], ["a", None], 0.5579),  # a null is a value of its own
        (["a", "b"], [None, None], 1.0),
        ([0, 1], [0, 0], 0.5579),
        ([1.0, 2.0], [None, None], 1.0),
        ([1.0, 2.0], [], 1.0),
    ],
)
def test_golden_distances(before: list[Any], now: list[Any], distance: float) -> None:
    reference = profile(pd.DataFrame({"x": before}))
    assert skew(reference, pd.DataFrame({"x": now})) == {"x": distance}
