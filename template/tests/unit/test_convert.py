from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from mlops import convert, project
from mlops.errors import MlopsError
from mlops.pipeline.prepare import frame_of, inputs, kinds
from mlops.scorer import Scorer


class Odd(BaseEstimator):
    """No converter knows it."""


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_both_forms_agree_and_bytes_repeat(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "TASK", task)
    frame, model = frame_of(project.data.load("p1")), project.model.build({}, 0)
    if task == "regression":
        model.steps[-1] = ("model", LinearRegression())
    model.fit(inputs(frame), frame["_target"])
    convert.save(model, kinds(), tmp_path)
    served = Scorer(tmp_path / convert.SERVED).predict(frame)
    assert served.shape == (len(frame),)
    assert np.abs(served - convert.predict(convert.load(tmp_path), inputs(frame))).max() < 1e-5
    assert convert.to_onnx(model, kinds()) == (tmp_path / convert.SERVED).read_bytes()


def test_what_cannot_be_converted_is_refused_by_name() -> None:
    with pytest.raises(MlopsError, match=r"(?s)Odd cannot be served.*skl2onnx converts"):
        convert.to_onnx(Pipeline([("model", Odd())]), {"size": "number"})


def test_a_foreign_type_is_not_loaded(tmp_path: Path) -> None:
    skops.io.dump(Pipeline([("model", Odd())]), tmp_path / convert.TRAINED)
    with pytest.raises(MlopsError, match=r"not trusted: .*Odd"):
        convert.load(tmp_path)
