import json
from copy import deepcopy
from pathlib import Path

import pandas as pd
import pytest

from mlops import project
from mlops.errors import DataError, MlopsError
from mlops.pipeline.validate import split, validate
from mlops.settings import Params, Paths, SplitParams, load_params


def test_the_newest_periods_decide() -> None:
    parts = split(["p1", "p2", "p3", "p4", "p5"], SplitParams(valid=1, test=2))
    assert parts == {"train": ["p1", "p2"], "valid": ["p3"], "test": ["p4", "p5"]}
    with pytest.raises(MlopsError, match="2 periods are too few: split keeps 2"):
        split(["p1", "p2"], SplitParams())


def _write(period: str, change: dict[str, object], rows: int = 120) -> None:
    path = Paths().raw / f"{period}.parquet"
    pd.read_parquet(path).assign(**change).head(rows).to_parquet(path)


@pytest.mark.parametrize(
    ("period", "change", "rows", "message"),
    [
        ("p1", {"size": 99.0}, 120, r"p1 is rejected:\n  values: size"),
        ("p2", {}, 49, r"p2 is rejected:\n  integrity: rows: 49 rows, fewer than 50"),
        ("p4", {"size": 1.0}, 120, r"p4 is rejected:\n  skew: size: distance 0.\d+ .* than 0.3"),
    ],
)
def test_a_bad_period_is_named(
    home: Path, period: str, change: dict[str, object], rows: int, message: str
) -> None:
    _write(period, change, rows)
    with pytest.raises(DataError, match=message):
        validate(load_params(), Paths())


def test_no_personal_value_gets_into_the_profile(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = deepcopy(project.schema.Records.to_schema())  # pandera keeps the one it has made
    schema.columns["colour"].metadata = {"personal": True}
    validate(load_params(), Paths())
    assert "colour" in json.loads(Paths().profile.read_text())
    monkeypatch.setattr(project.schema.Records, "to_schema", lambda: schema)
    validate(load_params(), Paths())
    assert "colour" not in json.loads(Paths().profile.read_text())


def test_a_sample_may_be_small_and_its_skew_is_only_reported(home: Path) -> None:
    _write("p4", {"size": 1.0}, 40)
    params = load_params()
    validate(Params(**params.model_dump() | {"data": {**params.data.model_dump(), "sample": 0.3}}),
             Paths())  # fmt: skip
    found = json.loads(Paths().validation.read_text())
    assert found["rows"] == {"p1": 120, "p2": 120, "p3": 120, "p4": 40}
    assert found["skew"]["p4"]["size"] > 0.3
    assert json.loads(Paths().profile.read_text())["size"]["rows"] == 240  # training periods only
