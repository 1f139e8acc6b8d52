from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops import validators
from mlops.errors import DataError
from mlops.profile import Profile, profile
from mlops.project import data, schema
from mlops.settings import load_gates

BAD = Path(__file__).parent / "bad"
REJECTED_BY = {
    "wrong_schema": {"schema"},
    "duplicate_keys": {"integrity"},
    "truncated": {"integrity"},
    "impossible_value": {"values"},
    "shifted_distribution": {"skew"},
    "good": set(),
}


@pytest.fixture(scope="session")
def reference() -> Profile:
    return profile(pd.concat([data.load("2013-01"), data.load("2013-02")]))


@pytest.mark.parametrize("path", sorted(BAD.glob("*.parquet")), ids=lambda path: path.stem)
def test_each_known_bad_file_is_rejected_by_name(path: Path, reference: Profile) -> None:
    try:
        found = validators.validate(validators.read(path), load_gates().data, reference)
        rejected_by = {finding.validator for finding in found}
    except DataError as error:
        rejected_by = {str(error).partition(":")[0]}
    assert rejected_by == REJECTED_BY[path.stem]


@pytest.mark.parametrize(
    ("column", "value", "accepted"),
    [
        ("weekday", 6, True), ("weekday", 7, False), ("hour", 23, True), ("hour", 24, False),
        ("arr_hour", 24, True), ("minute", 60, False), ("origin", "LHR", False),
        ("carrier", "UAL", False), ("dest", "lax", False), ("humid", 100.1, False),
        ("temp", None, True), ("arr_delay", None, True), ("year", 2014, False),
    ],
)  # fmt: skip
def test_limits(column: str, value: Any, accepted: bool) -> None:
    records = pd.read_parquet(BAD / "good.parquet").head(1)
    changed = records.assign(**{column: pd.Series([value], dtype=records[column].dtype)})
    limits = load_gates().data.model_copy(update={"min_rows": 1, "max_null_share": 1})
    found = {finding.column for finding in validators.validate(changed, limits)}
    assert found == (set() if accepted else {column})


def test_every_input_says_what_it_is() -> None:
    columns = schema.Inputs.to_schema().columns.values()
    assert [column.name for column in columns if not column.description] == []
