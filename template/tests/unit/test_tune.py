from pathlib import Path

import optuna
import pytest

from mlops import tracking
from mlops.errors import MlopsError
from mlops.pipeline import tune
from mlops.settings import Params, Paths, load_params

optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_a_study_is_resumed_and_every_trial_tracked(home: Path) -> None:
    best = tune.tune(load_params(), Paths())
    assert 0.01 <= best["strength"] <= 10
    tune.tune(load_params(), Paths(), trials=3)
    trials = [run for run in tracking.history() if run.data.tags["stage"] == "tune"]
    assert len(trials) == 3  # the third alone was new
    assert min(run.data.metrics["valid.loss"] for run in trials) > 0


def test_what_is_missing_is_named(tmp_path: Path, home: Path) -> None:
    params = load_params()
    with pytest.raises(MlopsError, match="run `make pipeline` first"):
        tune.tune(params, Paths(tmp_path))
    with pytest.raises(MlopsError, match="has no `tune`"):
        tune.tune(params.model_copy(update={"tune": None}), Paths())


def test_integers_stay_integers() -> None:
    trial = optuna.trial.FixedTrial({"depth": 4, "rate": 0.5})
    assert repr(tune.suggest(trial, "depth", (1, 9))) == "4"
    assert repr(tune.suggest(trial, "rate", (0.1, 1, "log"))) == "0.5"


def test_another_space_is_another_study(home: Path) -> None:
    params = load_params()
    other = Params(**params.model_dump() | {"tune": {"trials": 2, "space": {"strength": [0, 1]}}})
    assert tune.signature({}, params) == tune.signature({}, load_params())
    assert len({tune.signature({}, params), tune.signature({}, other),
                tune.signature({"data/raw": "1"}, params)}) == 3  # fmt: skip
