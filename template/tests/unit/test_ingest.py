from pathlib import Path

import pandas as pd
import pytest

from mlops.errors import MlopsError
from mlops.pipeline.ingest import chosen, ingest
from mlops.settings import DataParams, Params, Paths

PERIODS = ["p1", "p2", "p3"]


def test_one_file_a_period_and_none_left_over(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    ingest(Params(data=DataParams(first="p1", last="p3", sample=0.1)), paths)
    ingest(Params(data=DataParams(first="p2", last="p3", sample=0.25)), paths)
    rows = {path.stem: len(pd.read_parquet(path)) for path in sorted(paths.raw.iterdir())}
    assert rows == {"p2": 30, "p3": 30}


def test_both_ends_are_included() -> None:
    assert chosen(PERIODS, DataParams(first="p1", last="p3")) == PERIODS
    assert chosen(PERIODS, DataParams(first="p2", last="p2")) == ["p2"]


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("p0", "p3", "data.first is 'p0'; the source holds p1 to p3"),
        ("p1", "p4", "data.last is 'p4'"),
        ("p3", "p1", "'p3' lies after 'p1'"),
    ],
)
def test_periods_that_are_not_there_are_refused(first: str, last: str, message: str) -> None:
    with pytest.raises(MlopsError, match=message):
        chosen(PERIODS, DataParams(first=first, last=last))
