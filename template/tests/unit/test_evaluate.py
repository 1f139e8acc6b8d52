from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mlops import project
from mlops.pipeline import evaluate
from mlops.pipeline.prepare import frame_of


def test_slices_are_means_by_value() -> None:
    test = pd.DataFrame({"shop": ["b", "a", "b"]})
    found = evaluate.slices(test, np.array([1.0, 5.0, 2.0]))
    assert found == {"shop=a": {"rows": 1, "loss": 5.0}, "shop=b": {"rows": 2, "loss": 1.5}}


def test_each_disturbance_reaches_the_model() -> None:
    def predict(X: pd.DataFrame) -> np.ndarray:
        """Be wrong by how much the inputs are out of the ordinary."""
        unseen = ~X["colour"].isin(["red", "blue"])
        return np.where(X["size"].isna(), 0.3, np.where(unseen | (X["count"] > 8.9), 0.2, 0.5))

    test = frame_of(project.data.load("p1")).assign(_target=1.0, size=5.0, count=1.0)
    found = evaluate.robustness(SimpleNamespace(predict=predict), test, seed=0)
    assert found["clean"] == found["noise"] == pytest.approx(-np.log(0.5))
    assert found["missing"] == pytest.approx(found["clean"], rel=0.2)
    assert found["missing"] > found["clean"]
    assert found["unseen"] == found["extreme"] == pytest.approx(-np.log(0.2))


def test_a_prediction_that_is_no_number_is_an_infinite_loss() -> None:
    scorer = SimpleNamespace(predict=lambda X: np.where(X["size"].isna(), np.nan, 0.5))
    test = frame_of(project.data.load("p1")).assign(size=5.0)
    assert evaluate.robustness(scorer, test, seed=0)["missing"] == np.inf


def test_the_limits_are_the_schemas() -> None:
    columns = project.schema.Inputs.to_schema().columns
    assert evaluate.limits(columns["size"]) == [0, 10]
    assert evaluate.limits(columns["colour"]) == []
