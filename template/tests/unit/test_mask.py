from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from mlops.errors import MlopsError
from mlops.mask import mask, masks

KEY = b"k" * 32
PEOPLE = ["Ann O'Neill", "Bert Öz", "", "Ann O'Neill", None]


class Schema(pa.DataFrameModel):
    name: str = pa.Field(nullable=True, metadata={"personal": True, "mask": "hash"})
    boss: str = pa.Field(nullable=True, metadata={"personal": True, "mask": "hash"})
    number: int = pa.Field(ge=100, le=120, metadata={"mask": "hash"})
    age: int = pa.Field(ge=0, le=99, metadata={"mask": "noise"})
    pay: float = pa.Field(ge=0, nullable=True, metadata={"mask": "noise"})
    mail: str = pa.Field(metadata={"personal": True, "mask": "drop", "example": "x@example.com"})
    shop: str


def frames() -> dict[str, pd.DataFrame]:
    january = pd.DataFrame(
        {
            "name": PEOPLE,
            "boss": [None, "Ann O'Neill", "Cy 7", "Cy 8", "-"],
            "number": [101, 102, 103, 101, 105],
            "age": [0, 99, 40, 41, 42],
            "pay": [0.0, 5000.0, None, 3333.25, 4000.5],
            "mail": [f"{n}@firm.org" for n in range(5)],
            "shop": ["north", "south", "north", "south", "north"],
        }
    )
    return {"p1": january, "p2": january.assign(name=PEOPLE[::-1])}


COLUMNS = Schema.to_schema().columns


def test_the_schema_stays_and_what_has_no_mask_too() -> None:
    old, new = frames(), mask(frames(), COLUMNS, KEY)
    for name, frame in new.items():
        Schema.validate(frame)
        assert frame.dtypes.to_dict() == old[name].dtypes.to_dict()
        assert frame.isna().equals(old[name].isna())
        assert frame["shop"].equals(old[name]["shop"])


def test_every_masked_value_differs() -> None:
    old, new = frames(), mask(frames(), COLUMNS, KEY)
    for name in old:
        for column in masks(COLUMNS):
            before, after = old[name][column].dropna(), new[name][column].dropna()
            nobodys = before.isin(["", "-"])
            assert (before[~nobodys] != after[~nobodys]).all(), column
            assert (before[nobodys] == after[nobodys]).all()
    assert set(new["p1"]["mail"]) == {"x@example.com"}


def test_a_hash_is_one_to_one_and_the_same_in_every_column_and_period() -> None:
    old, new = frames(), mask(frames(), COLUMNS, KEY)
    pairs = {
        (before, after)
        for period in old
        for column in ("name", "boss")
        for before, after in zip(old[period][column], new[period][column], strict=True)
        if isinstance(before, str)
    }
    assert len(pairs) == len(dict(pairs)) == len({after for _, after in pairs}) == 6
    ann = dict(pairs)["Ann O'Neill"]
    assert [c if not c.isalnum() else "a" for c in ann] == list("aaa a'aaaaa")
    assert [ann[0].isupper(), ann[1].islower(), dict(pairs)["Cy 7"][-1].isdigit()] == [True] * 3
    assert not {"Cy 7", "Cy 8"} & {after for _, after in pairs}


def test_masks_are_the_keys() -> None:
    def texts(key: bytes) -> list[Any]:
        frame = mask(frames(), COLUMNS, key)["p1"]
        return [frame[c].astype(str).tolist() for c in ("name", "number", "age", "pay")]

    assert texts(KEY) == texts(KEY)
    assert all(one != other for one, other in zip(texts(KEY), texts(b"other" * 8), strict=True))


def test_what_hangs_on_a_frame_does_not_come_along() -> None:
    old = frames()["p1"].set_index(pd.Index(["Ann", "Bert", "C", "D", "E"], name="who"))
    old.attrs["source"] = "Ann O'Neill"
    new = mask({"p1": old}, COLUMNS, KEY)["p1"]
    assert new.attrs == {}
    assert new.index.equals(pd.RangeIndex(5))


def test_noise_keeps_the_distribution() -> None:
    rng = np.random.default_rng(1)
    big = pd.concat([frames()["p1"]] * 200, ignore_index=True)
    big = big.assign(pay=rng.normal(3000, 300, len(big)), age=rng.integers(0, 100, len(big)))
    new = mask({"p": big}, COLUMNS, KEY)["p"]
    assert new["pay"].mean() == pytest.approx(big["pay"].mean(), rel=0.01)
    assert new["pay"].std() == pytest.approx(big["pay"].std(), rel=0.05)
    assert (new["age"] != big["age"]).all()
    assert new["age"].between(0, 99).all()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"personal": True}, "name: mask is None"),
        ({"mask": "blur"}, "name: mask is 'blur'"),
        ({"mask": "drop"}, "name: drop needs an example"),
        ({}, "no column has a mask"),
    ],
)
def test_a_schema_that_would_leak_is_refused(metadata: dict[str, Any], message: str) -> None:
    columns = {"name": pa.Column(str, name="name", metadata=metadata)}
    with pytest.raises(MlopsError, match=message):
        mask({"p": frames()["p1"][["name"]]}, columns, KEY)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("nick", ["Annie"], "p1: nick: not in the schema"),
        ("name", pd.Categorical(["Ann"]), "name: hash does not take category"),
        ("number", [1.5], "number: hash does not take float64"),
        ("age", ["4"], "age: noise does not take"),
        ("number", range(100, 117), "number: too few pseudonyms of this form"),
    ],
)
def test_what_a_mask_does_not_take_is_refused(column: str, values: Any, message: str) -> None:
    frame = frames()["p1"].loc[np.arange(len(values)) % 5].reset_index(drop=True)
    with pytest.raises(MlopsError, match=message):
        mask({"p1": frame.assign(**{column: values})}, COLUMNS, KEY)
