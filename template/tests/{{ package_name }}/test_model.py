from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops import convert, project
from mlops.pipeline.prepare import TARGET, frame_of, inputs, kinds
from mlops.scorer import Scorer

PARAMS = {"n_estimators": 30, "max_depth": 3, "learning_rate": 0.2}
Parts = dict[str, tuple[pd.DataFrame, Any]]


@pytest.fixture(scope="module")
def parts() -> Parts:
    """Train on 600 flights, watch 300, predict 300: with gaps, and categories not trained on."""
    frame = frame_of(project.data.load("2013-01").sample(1300, random_state=0)).head(1200)
    cuts = {"train": frame[:600], "valid": frame[600:900], "test": frame[900:]}
    assert not {*cuts["test"]["dest"]} <= {*cuts["train"]["dest"]}
    assert cuts["test"]["plane_year"].isna().any()
    return {name: (inputs(cut), cut[TARGET].to_numpy()) for name, cut in cuts.items()}


def fitted(parts: Parts, parent: Any = None, **params: Any) -> tuple[Any, dict[str, list[float]]]:
    model = project.model.build(PARAMS | params, seed=1)
    curves = project.model.fit(model, *parts["train"], *parts["valid"], parent)
    return model, curves


def rounds(model: Any) -> int:
    return int(model["model"].get_booster().num_boosted_rounds())


def test_one_finite_prediction_a_row_always_the_same(parts: Parts) -> None:
    X, y = parts["test"]
    first, again = (convert.predict(fitted(parts)[0], X) for _ in range(2))
    assert first.shape == y.shape
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert first.std() > 0


def test_curves_have_one_loss_a_round_and_training_learns(parts: Parts) -> None:
    _, curves = fitted(parts)
    assert {name: len(values) for name, values in curves.items()} == {"train": 30, "valid": 30}
    assert curves["train"][-1] < curves["train"][0]


def test_training_stops_early(parts: Parts) -> None:
    model, curves = fitted(parts, n_estimators=200, learning_rate=1.0, early_stopping_rounds=5)
    assert len(curves["valid"]) < 200
    assert model["model"].best_iteration == int(np.argmin(curves["valid"]))


def test_a_warm_start_adds_trees_to_the_parents(parts: Parts) -> None:
    parent, _ = fitted(parts)
    child, _ = fitted(parts, parent, n_estimators=7)
    assert (rounds(parent), rounds(child)) == (30, 37)
    assert child["features"] is parent["features"]


@pytest.mark.parametrize("kind", ["plain", "stopped early", "warm-started"])
def test_the_served_form_answers_as_the_trained_one(
    kind: str, parts: Parts, tmp_path: Path
) -> None:
    stop = {"n_estimators": 60, "learning_rate": 1.0, "early_stopping_rounds": 5}
    model, _ = fitted(parts, **stop if kind == "stopped early" else {})
    if kind == "warm-started":
        model, _ = fitted(parts, model, n_estimators=7)
    convert.save(model, kinds(), tmp_path)
    X, _ = parts["test"]
    trained = convert.predict(model, X)
    scale = 1 if project.TASK == "classification" else 100
    served = Scorer(tmp_path / convert.SERVED).predict(X)
    assert np.abs(served - trained).max() < 1e-5 * scale
    assert np.array_equal(convert.predict(convert.load(tmp_path), X), trained)


def test_golden_losses_and_metrics() -> None:
    classes = project.TASK == "classification"
    y = np.array([1.0, 0.0, 1.0]) if classes else np.array([10.0, -5.0, 0.0])
    said = np.array([0.8, 0.8, 1.0]) if classes else np.array([12.0, -5.0, 4.0])
    expected = [0.2231, 1.6094, 0.0] if classes else [4.0, 0.0, 16.0]
    assert project.model.loss(y, said) == pytest.approx(expected, abs=1e-4)
    reached = project.model.metrics(y, said)
    golden = (
        {"roc_auc": 0.75, "average_precision": 5 / 6, "brier": (0.2**2 + 0.8**2) / 3}
        if classes
        else {"rmse": (20 / 3) ** 0.5, "mae": 2.0, "r2": 1 - 20 / (350 / 3)}
    )
    assert reached == pytest.approx(golden)
