from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops.contract import Contract
from mlops.errors import DataError, MlopsError
from mlops.scorer import Scorer
from mlops.serve import batch

MODEL = Path("models/candidate")
GOOD = {"colour": "red", "size": 1.0, "count": 3, "key": 0}


@pytest.fixture(autouse=True)
def _small_parts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "ROWS", 50)


def write(path: str, *records: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(records)), path)
    return Path(path)


def scored(source: Path, version: int = 7) -> list[dict[str, Any]]:
    batch.score(MODEL, source, Path("out/answers.parquet"), version)
    found: list[dict[str, Any]] = pq.read_table("out/answers.parquet").to_pylist()
    return found


def test_every_record_is_answered_in_order_as_online() -> None:
    rows = scored(batch.locate("p1"))
    source = pq.read_table("data/raw/p1.parquet").to_pandas()
    one_by_one = [
        Scorer(MODEL / "model.onnx").predict({k: [v] for k, v in record.items()})[0]
        for record in source.to_dict("records")
    ]
    assert [row["prediction"] for row in rows] == pytest.approx(one_by_one, abs=1e-6)
    assert [row["key"] for row in rows] == list(source["key"])
    assert {row["version"] for row in rows} == {7}
    assert {row["refused"] for row in rows} == {None}
    assert list(rows[0]) == ["key", "prediction", "version", "refused"]
    assert [path.name for path in Path("out").iterdir()] == ["answers.parquet"]


def test_a_folder_is_read_in_the_order_of_its_names() -> None:
    rows = scored(Path("data/raw"))
    files = sorted(Path("data/raw").glob("*.parquet"))
    assert [row["key"] for row in rows] == [
        key for path in files for key in pq.read_table(path)["key"].to_pylist()
    ]


COLOUR, SIZE = "colour: not one of red, blue", "size: not a number from 0 to 10, or null"
COUNT = "count: not an integer from 0 to 9"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"colour": "green"}, COLOUR),
        ({"colour": None}, COLOUR),
        ({"size": 10.5}, SIZE),
        ({"size": float("-inf")}, SIZE),
        ({"count": 10}, COUNT),
        ({"count": 2.5}, COUNT),
        ({"count": None, "size": -1.0}, f"{SIZE}; {COUNT}"),
        ({"size": None}, None),
        ({"size": 10.0, "count": 9}, None),
    ],
)
def test_a_row_that_breaks_the_contract_is_not_answered(
    change: dict[str, Any], why: str | None, taken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LIMIT", 0.5)
    first, second, third = scored(write("in.parquet", GOOD, GOOD | change, GOOD))
    assert second["refused"] == why
    assert (second["prediction"] is None) == (why is not None)
    assert first["prediction"] == third["prediction"] is not None
    record = {name: value for name, value in (GOOD | change).items() if name != "key"}
    assert taken(Contract.read(MODEL), record) == (why is None)


def test_what_pandas_makes_of_gaps_is_taken() -> None:
    rows = scored(write("in.parquet", GOOD | {"size": float("nan"), "count": 3.0}))
    assert rows[0]["prediction"] is not None


@pytest.mark.parametrize("rules", [{"pattern": "^re$"}, {"pattern": "e"}, {}])
def test_texts_are_held_against_their_pattern(rules: dict[str, str], taken: Any) -> None:
    field = Contract.read(MODEL).fields[0].model_copy(update={"choices": None, **rules})
    contract = Contract(name="toy", task="regression", fields=[field], quantiles=[])
    texts = ["re", "are", "r", "re\n", ""]
    found = batch.faults(contract, {"colour": pa.array(texts)}).to_pylist()
    told = [taken(contract, {"colour": text}) for text in texts]
    assert [why is None for why in found] == told


def test_too_many_refusals_are_an_error_with_the_file_there() -> None:
    bad = GOOD | {"count": 10}
    with pytest.raises(DataError, match=r"2 of 101 records .* 1% may"):
        scored(write("in.parquet", bad, bad, *[GOOD] * 99))
    assert pq.read_table("out/answers.parquet")["refused"].null_count == 99
    assert scored(write("in.parquet", bad, *[GOOD] * 99))[0]["refused"] == COUNT


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([{"colour": "red", "size": 1.0}], "no column 'count'"),
        ([GOOD | {"count": "3"}], "'count' is string, it must be integer"),
        ([GOOD | {"size": True}], "'size' is bool, it must be number"),
        ([GOOD | {"colour": 1}], "'colour' is int64, it must be text"),
    ],
)
def test_a_file_of_another_form_is_refused_as_a_whole(
    records: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(DataError, match=why):
        scored(write("in.parquet", *records))
    assert not Path("out").exists()


def test_key_columns_of_different_types_are_refused() -> None:
    Path("in").mkdir()
    write("in/a.parquet", GOOD)
    write("in/b.parquet", GOOD | {"key": "0"})
    with pytest.raises(DataError, match=r"b\.parquet: 'key' is not as in a\.parquet"):
        scored(Path("in"))


def test_what_is_no_source_or_would_become_one_is_refused() -> None:
    with pytest.raises(MlopsError, match="p99"):
        scored(batch.locate("p99"))
    with pytest.raises(MlopsError, match="the next time"):
        batch.score(MODEL, Path("data/raw"), Path("data/raw/answers.parquet"), 1)


def test_no_records_give_a_file_without_rows() -> None:
    pq.write_table(pq.read_schema("data/raw/p1.parquet").empty_table(), "in.parquet")
    assert scored(Path("in.parquet")) == []
    assert "prediction" in pq.read_schema("out/answers.parquet").names


def test_several_classes_have_a_column_each(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = Contract.read(MODEL).model_copy(update={"classes": 3})
    monkeypatch.setattr(Contract, "read", lambda folder: contract)
    shares = np.array([[0.5, 0.25, 0.25]], np.float32)
    monkeypatch.setattr(Scorer, "predict", lambda self, records: shares)
    monkeypatch.setattr(batch, "LIMIT", 0.5)
    good, bad = scored(write("in.parquet", GOOD, GOOD | {"count": 10}))
    assert [good[f"prediction_{k}"] for k in range(3)] == [0.5, 0.25, 0.25]
    assert [bad[f"prediction_{k}"] for k in range(3)] == [None] * 3


def test_an_answer_that_is_no_number_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = np.array([0.5, np.nan, np.inf], np.float32)
    monkeypatch.setattr(Scorer, "predict", lambda self, records: answers)
    monkeypatch.setattr(batch, "LIMIT", 1)
    rows = scored(write("in.parquet", GOOD, GOOD, GOOD))
    assert [row["prediction"] for row in rows] == [0.5, None, None]
    assert [row["refused"] for row in rows] == [None, batch.NONE, batch.NONE]


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Start scoring and be killed after so many parts; return the sizes answered afterwards."""

    def killed(after: int) -> list[int]:
        sizes: list[int] = []
        answer = batch.Answerer.__call__

        def counted(self: batch.Answerer, records: pa.Table) -> pa.Table:
            if len(sizes) == after:
                raise KeyboardInterrupt
            sizes.append(records.num_rows)
            return answer(self, records)

        with monkeypatch.context() as patch:
            patch.setattr(batch.Answerer, "__call__", counted)
            with pytest.raises(KeyboardInterrupt):
                scored(Path("data/raw"))
        assert not Path("out/answers.parquet").exists()
        sizes.clear()
        after = -1
        monkeypatch.setattr(batch.Answerer, "__call__", counted)
        return sizes

    return killed


def test_it_goes_on_where_it_was_killed(killed: Callable[[int], list[int]]) -> None:
    scored(Path("data/raw"))
    whole = Path("out/answers.parquet").read_bytes()
    Path("out/answers.parquet").unlink()
    answered = killed(4)
    scored(Path("data/raw"))
    rows = sum(pq.read_metadata(path).num_rows for path in Path("data/raw").glob("*.parquet"))
    assert sum(answered) == rows - (50 + 50 + 20 + 50)
    assert Path("out/answers.parquet").read_bytes() == whole


def test_another_job_starts_afresh(killed: Callable[[int], list[int]]) -> None:
    answered = killed(4)
    rows = scored(Path("data/raw"), version=8)
    assert sum(answered) == len(rows)
    assert {row["version"] for row in rows} == {8}
