from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops import project, tracking
from mlops.errors import ConvergenceError, MlopsError
from mlops.pipeline import train
from mlops.settings import Paths, load_params

Y = np.array([0.0, 1.0])
GUESS = np.array([0.5, 0.5])


@pytest.mark.parametrize(
    ("curves", "prediction", "message"),
    [
        ({"train": [0.5, np.nan, np.inf]}, [0.1, 0.9], r"train loss is nan in round 1.*lower the"),
        ({}, [0.5, 0.5], r"validation loss is 0.6931, guessing the mean gives 0.6931"),
        ({}, [0.9, 0.1], r"did not converge"),
        ({}, [np.nan, 0.9], r"did not converge: the validation loss is nan"),
    ],
)
def test_what_did_not_converge_is_refused(curves: Any, prediction: Any, message: str) -> None:
    with pytest.raises(ConvergenceError, match=message):
        train.converged(curves, Y, np.array(prediction), GUESS)


def test_what_beats_the_mean_has_converged() -> None:
    train.converged({"train": [0.5]}, Y, np.array([0.4, 0.6]), GUESS)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [(ValueError("Input contains NaN"), ConvergenceError), (ValueError("bad depth"), ValueError)],
)
def test_a_failed_training_keeps_nothing(
    error: Exception, refusal: type[Exception], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(project.model, "fit", fail)
    with pytest.raises(refusal, match=str(error)):
        train.train(load_params(), Paths())
    assert not Paths().model.exists()
    assert tracking.history(1)[0].info.status == "FAILED"


def test_the_baseline_is_the_mean_or_each_classs_share() -> None:
    assert train.mean_of(np.array([0.0, 1.0, 1.0, 0.0])) == 0.5
    assert train.mean_of(np.array([0.0, 1.0, 2.0, 2.0])) == [0.25, 0.25, 0.5]
    assert train.constant([0.25, 0.75], 3).shape == (3, 2)
    assert train.constant(0.5, 3).shape == (3,)


def test_the_example_is_the_fullest_record() -> None:
    X = pd.DataFrame({"t": ["a", "b"], "n": np.array([np.nan, 2.0], dtype="float32")})
    assert train.example(X) == {"t": "b", "n": 2.0}
    assert train.example(X.head(1)) == {"t": "a", "n": None}


def test_an_unknown_hypothesis_is_refused(home: Path) -> None:
    Path("docs/team/hypotheses.yaml").write_text("- id: H7\n")
    train.known_hypothesis("H7", Paths())
    with pytest.raises(MlopsError, match=r"train.hypothesis 'H8' is not in .* lists H7"):
        train.known_hypothesis("H8", Paths())
