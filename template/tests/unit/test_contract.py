import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from mlops.contract import QUANTILES, Contract, Field, breaking, derive, edges
from mlops.errors import MlopsError


class Inputs(pa.DataFrameModel):
    name: str = pa.Field(str_matches="^[A-Z]+$", metadata={"personal": True, "example": "NOBODY"})
    colour: str = pa.Field(isin=["red", "blue"], description="Of the thing")
    size: float = pa.Field(ge=0, le=10, nullable=True)
    count: int = pa.Field(ge=1)


FRAME = pd.DataFrame({
    "name": ["A", "B", "A", None],
    "colour": ["red", "red", "blue", "red"],
    "size": [1.0, 2.0, np.nan, 3.0],
    "count": [1, 2, 3, 9],
})  # fmt: skip
EXAMPLE = {"name": "A", "colour": "red", "size": 1.0, "count": 1}


def made(prediction: Any = None) -> Contract:
    prediction = np.linspace(0, 1, 1001) if prediction is None else prediction
    return derive(Inputs.to_schema().columns, FRAME, EXAMPLE, prediction)


def test_it_is_derived_from_the_schema_and_the_data() -> None:
    name, colour, size, count = made().fields
    assert (name.kind, name.pattern, name.personal, name.nullable) == (
        "text",
        "^[A-Z]+$",
        True,
        False,
    )
    assert (name.example, name.typical, name.usual) == ("NOBODY", "NOBODY", [])
    assert (colour.choices, colour.description) == (["red", "blue"], "Of the thing")
    assert (size.kind, size.minimum, size.maximum, size.typical) == ("number", 0, 10, 2.0)
    assert (count.kind, count.minimum, count.maximum, count.typical) == ("integer", 1, None, 2)
    assert count.usual == pytest.approx((1, 9), abs=0.1)
    assert made().example == EXAMPLE | {"name": "NOBODY"}


def test_nobody_is_named_in_it() -> None:
    columns = Inputs.to_schema().columns
    columns["name"].metadata = {"personal": True}
    with pytest.raises(MlopsError, match="name is personal: give an example that is nobody's"):
        derive(columns, FRAME, EXAMPLE, np.zeros(2))
    columns["name"].nullable = True
    assert derive(columns, FRAME, EXAMPLE, np.zeros(2)).example["name"] is None


def test_a_pattern_is_meant_from_the_beginning() -> None:
    columns = Inputs.to_schema().columns
    columns["name"].checks = [pa.Check.str_matches("[A-Z]+$")]
    assert derive(columns, FRAME, EXAMPLE, np.zeros(2)).fields[0].pattern == "^(?:[A-Z]+$)"


def test_the_quantiles_are_those_of_the_largest_probability() -> None:
    assert made().quantiles == pytest.approx(QUANTILES)
    assert made().classes == 0
    several = made(np.array([[0.2, 0.3, 0.5], [0.8, 0.1, 0.1]]))
    assert several.classes == 3
    assert several.quantiles[5] == pytest.approx(0.65)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    made().write(tmp_path)
    assert Contract.read(tmp_path) == made()
    with pytest.raises(MlopsError, match=r"holds no contract\.json"):
        Contract.read(tmp_path / "none")


CHANGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "kind": ("count", {"kind": "text"}, "count: was integer, is text"),
    "null": ("size", {"nullable": False}, "size: null is refused now"),
    "minimum": ("size", {"minimum": 1}, "size: from 1 on now, was 0.0"),
    "maximum": ("size", {"maximum": 9}, "size: up to 9 now, was 10.0"),
    "first maximum": ("count", {"maximum": 9}, "count: up to 9 now, was None"),
    "choices": ("colour", {"choices": ["red"]}, "colour: blue is refused now"),
    "pattern": ("name", {"pattern": "^B"}, "name: must match ^B now"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_callers_could_no_longer_send_is_said(change: str) -> None:
    name, update, said = CHANGES[change]
    assert said in " ".join(breaking(made(), changed(name, **update)))


def test_what_callers_need_not_know_is_no_break() -> None:
    assert breaking(made(), made()) == []
    for name, update in [
        ("count", {"kind": "number"}),
        ("size", {"minimum": -1, "maximum": 11}),
        ("count", {"nullable": True, "minimum": None}),
        ("colour", {"choices": ["red", "blue", "green"]}),
        ("colour", {"description": "another"}),
    ]:
        assert breaking(made(), changed(name, **update)) == []


def test_new_fields_and_another_form_of_answer_are_breaks() -> None:
    fewer = made().model_copy(update={"fields": made().fields[1:]})
    assert breaking(fewer, made()) == ["name: is asked for now"]
    assert breaking(made(), fewer) == ["name: is no known field now"]
    assert breaking(made(), made().model_copy(update={"classes": 3})) == [
        "prediction: has another form"
    ]


def test_edges_are_fixed_and_rising() -> None:
    probability, amount = edges("classification"), edges("regression")
    assert (probability[0], probability[-1], len(probability)) == (0.02, 1.0, 50)
    assert amount == sorted(amount)
    assert amount == [-edge for edge in reversed(amount)]
    assert (amount[-1], min(edge for edge in amount if edge > 0)) == (1e9, 1e-3)
    assert sum(1 <= edge < 10 for edge in amount) == 8
    assert json.loads(json.dumps(amount)) == amount


def changed(name: str, **update: Any) -> Contract:
    fields = [
        Field.model_validate(field.model_dump() | update) if field.name == name else field
        for field in made().fields
    ]
    return made().model_copy(update={"fields": fields})
