from pathlib import Path

import numpy as np
import pytest

from mlops.scorer import Scorer, flatten


def test_answers_by_column_name(trained: Path) -> None:
    scorer = Scorer(trained / "models/candidate/model.onnx")
    record = {"colour": ["red", "blue"], "size": [1.0, 9.0], "count": [3, 3]}
    low, high = scorer.predict(record)
    assert low < 0.2 < 0.8 < high
    shuffled = dict(reversed(record.items())) | {"unused": [0, 0]}
    assert scorer.predict(shuffled).tolist() == [low, high]


def test_a_missing_column_is_named(trained: Path) -> None:
    with pytest.raises(KeyError, match="size"):
        Scorer(trained / "models/candidate/model.onnx").predict({"colour": ["red"], "count": [1]})


def test_only_telling_columns_are_kept() -> None:
    two, three = np.array([[0.1, 0.9]]), np.array([[0.1, 0.2, 0.7]])
    assert flatten(two).tolist() == [0.9]
    assert flatten(two[:, 1:]).tolist() == [0.9]
    assert flatten(three).tolist() == three.tolist()
