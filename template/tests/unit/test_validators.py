from pathlib import Path

import pandas as pd
import pytest

from mlops import project, validators
from mlops.errors import DataError
from mlops.profile import profile
from mlops.settings import DataGates

LIMITS = DataGates(min_rows=50, max_null_share=0.5, skew=0.3)


def good() -> pd.DataFrame:
    return project.data.load("p1")


BAD = {
    "wrong type": (lambda r: r.assign(count=r["count"].astype(str)), "schema", "count"),
    "no column": (lambda r: r.drop(columns="size"), "schema", ""),
    "one too many": (lambda r: r.assign(extra=1), "schema", "extra"),
    "null where none may be": (lambda r: r.assign(colour=None), "integrity", "colour"),
    "twice the same key": (lambda r: r.assign(key=r["key"] // 2), "integrity", ""),
    "half a file": (lambda r: r.head(49), "integrity", "rows"),
    "mostly null": (lambda r: r.assign(size=r["size"].where(r["key"] < 50)), "integrity", "size"),
    "out of range": (lambda r: r.assign(size=10.5), "values", "size"),
    "unknown category": (lambda r: r.assign(colour="green"), "values", "colour"),
    "moved": (lambda r: r.assign(size=9.0), "skew", "size"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_fault_is_found_by_its_validator(name: str) -> None:
    spoil, validator, column = BAD[name]
    found = validators.validate(spoil(good()), LIMITS, profile(good()))
    assert validator in {one.validator for one in found}
    assert not column or column in {one.column for one in found}


def test_good_records_pass_and_seasonal_columns_may_move() -> None:
    assert validators.validate(good().assign(count=9), LIMITS, profile(good())) == []


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    good().to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-99])
    with pytest.raises(DataError, match=r"integrity: .*a.parquet: cannot be read, is it whole"):
        validators.read(tmp_path / "a.parquet")


def test_the_refusal_names_what_and_shows_five() -> None:
    found = [validators.Finding(validator="values", column=f"c{n}", message="no") for n in range(7)]
    with pytest.raises(DataError, match=r"(?s)x.csv is rejected.*values: c4: no\n  and 2 more$"):
        validators.refuse(found, "x.csv")
    validators.refuse([], "x.csv")
