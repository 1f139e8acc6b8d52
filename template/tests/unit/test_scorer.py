from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer

from mlops.scorer import Scorer, flatten


def test_answers_by_column_name(trained: Path) -> None:
    scorer = Scorer(trained / "models/candidate/model.onnx")
    record = {"colour": ["red", "blue"], "size": [1.0, 9.0], "count": [3, 3]}
    low, high = scorer.predict(record)
    assert low < 0.2 < 0.8 < high
    shuffled = dict(reversed(record.items())) | {"unused": [0, 0]}
    assert scorer.predict(shuffled).tolist() == [low, high]


def test_a_model_with_an_input_a_column_answers_too(tmp_path: Path) -> None:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import Pipeline

    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 0.0]})
    columns = ColumnTransformer([("all", "passthrough", ["a", "b"])])
    model = Pipeline([("columns", columns), ("model", LinearRegression())])
    model.fit(frame, frame["a"] + 10 * frame["b"])
    types = [(name, FloatTensorType([None, 1])) for name in frame]
    (tmp_path / "model.onnx").write_bytes(
        convert_sklearn(model, initial_types=types).SerializeToString()
    )
    scorer = Scorer(tmp_path / "model.onnx")
    assert scorer.predict({"b": [1.0], "a": [2.0]}) == pytest.approx([12.0])
    assert scorer.answer([{"b": 1.0, "a": 2.0}]) == pytest.approx([12.0])


def test_a_missing_column_is_named(trained: Path) -> None:
    with pytest.raises(KeyError, match="size"):
        Scorer(trained / "models/candidate/model.onnx").predict({"colour": ["red"], "count": [1]})


def test_only_telling_columns_are_kept() -> None:
    two, three = np.array([[0.1, 0.9]]), np.array([[0.1, 0.2, 0.7]])
    assert flatten(two).tolist() == [0.9]
    assert flatten(two[:, 1:]).tolist() == [0.9]
    assert flatten(three).tolist() == three.tolist()
