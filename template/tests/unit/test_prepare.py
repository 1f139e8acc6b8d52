from pathlib import Path

import pandas as pd
import pytest

from mlops import project
from mlops.errors import MlopsError
from mlops.lineage import Lineage
from mlops.pipeline import prepare
from mlops.settings import Params, Paths, load_params


def test_inputs_slices_and_target_of_the_known() -> None:
    records = project.data.load("p1")
    frame = prepare.frame_of(records)
    assert [*frame] == ["colour", "size", "count", "shop", "_target"]
    assert [str(kind) for kind in frame.dtypes[1:3]] == ["float32", "float32"]
    assert len(frame) == len(records) - 1  # one outcome is not known
    assert frame["_target"].tolist() == records["bought"].dropna().tolist()
    assert prepare.kinds() == {"colour": "text", "size": "number", "count": "number"}


def test_with_a_parent_only_the_additional_periods_train(home: Path) -> None:
    paths = Paths()
    parent = Lineage.read(paths.model)
    paths.parent.mkdir()
    parent.model_copy(update={"periods": {"train": ["p1"]}}).write(paths.parent)
    params = Params(**load_params().model_dump() | {"train": {"parent": 1}})
    prepare.prepare(params, paths)
    assert len(pd.read_parquet(paths.prepared / "train.parquet")) == 119
    parent.write(paths.parent)
    with pytest.raises(MlopsError, match=r"knows every training period up to p2: raise data.last"):
        prepare.prepare(params, paths)


def test_a_part_without_outcomes_is_refused(home: Path) -> None:
    path = Paths().raw / "p4.parquet"
    pd.read_parquet(path).assign(bought=float("nan")).to_parquet(path)
    with pytest.raises(MlopsError, match="p4: no record has a known outcome yet"):
        prepare.prepare(load_params(), Paths())
