import numpy as np
import pandas as pd
import pytest

from mlops import project
from mlops.project import features

KNOWN = pd.DataFrame({"carrier": ["AA", "UA"], "origin": "JFK", "dest": ["LAX", "SFO"]})


def test_golden_features() -> None:
    built = features.build().fit(KNOWN.assign(temp=[50.0, 60.0]))
    new = pd.DataFrame({
        "carrier": ["UA", "AA", "ZZ"], "origin": ["JFK", "LGA", "JFK"],
        "dest": ["LAX", "SFO", "BOS"], "temp": [41.5, np.nan, 0.0],
    })  # fmt: skip
    expected = [[1, 0, 0, 41.5], [0, -1, 1, np.nan], [-1, 0, -1, 0]]  # -1: not seen before
    assert np.array_equal(built.transform(new).astype(float), expected, equal_nan=True)


def test_the_records_are_left_as_they_were() -> None:
    records = KNOWN.copy()
    features.build().fit_transform(records)
    features.target(records.assign(arr_delay=1.0))
    assert records.equals(KNOWN)


@pytest.mark.parametrize("delay", [15.0, 16.0, -5.0, np.nan])
def test_late_means_more_than_fifteen_minutes(delay: float) -> None:
    [found] = features.target(pd.DataFrame({"arr_delay": [delay]}))
    late = np.nan if np.isnan(delay) else float(delay == 16)
    expected = late if project.TASK == "classification" else delay
    assert np.array_equal([found], [expected], equal_nan=True)
