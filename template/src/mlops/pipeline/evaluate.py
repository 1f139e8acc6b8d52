"""Measure the served form on the newest periods: metrics, slices, robustness."""

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import project
from ..lineage import Lineage
from ..scorer import SERVED, Scorer
from ..settings import Params, Paths, load_settings
from ..tracking import Tracker
from . import log, main
from .prepare import TARGET, inputs
from .train import constant

Array = NDArray[np.floating[Any]]

DISTURBED_ROWS = 5000


def evaluate(params: Params, paths: Paths) -> None:
    """Write reports/metrics.json, and log it to the run that trained the model."""
    test = pd.read_parquet(paths.prepared / "test.parquet")
    lineage, scorer = Lineage.read(paths.model), Scorer(paths.model / SERVED, threads=2)
    y, prediction = test[TARGET].to_numpy(), scorer.predict(test)
    guess = constant(lineage.baseline, len(test))
    result: dict[str, Any] = {
        "rows": len(test),
        "model": scores(y, prediction),
        "baseline": scores(y, guess),
        "slices": slices(test, project.model.loss(y, prediction)),
        "robustness": robustness(scorer, test, params.seed),
    }
    result["delta"] = {
        name: result["model"][name] - result["baseline"][name] for name in result["model"]
    }
    paths.metrics.parent.mkdir(exist_ok=True)
    paths.metrics.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    with Tracker.resume(lineage.run, load_settings()) as run:
        run.metrics({name: result[name] for name in ("model", "baseline", "delta", "robustness")})
        run.files(paths.metrics)
        run.files(paths.logs, "logs")
    shown = ", ".join(f"{name} {value:.4f}" for name, value in result["model"].items())
    log.info("%d rows: %s", len(test), shown)


def scores(y: Array, prediction: Array) -> dict[str, float]:
    """Return the team's metrics and the mean loss."""
    return {
        **project.model.metrics(y, prediction),
        "loss": float(np.mean(project.model.loss(y, prediction))),
    }


def slices(test: pd.DataFrame, losses: Array) -> dict[str, dict[str, float]]:
    """Return rows and mean loss of each slice, named ``column=value``."""
    return {
        f"{column}={value}": {"rows": len(rows), "loss": float(losses[rows].mean())}
        for column in project.features.SLICES
        for value, rows in sorted(test.groupby(column).indices.items())
    }


def robustness(scorer: Scorer, test: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return the mean loss on disturbed inputs, ``clean`` being the same rows undisturbed.

    A prediction that is no finite number makes the loss infinite.
    """
    rng = np.random.default_rng(seed)
    rows = test.sample(n=min(DISTURBED_ROWS, len(test)), random_state=seed)
    X, y = inputs(rows), rows[TARGET].to_numpy()

    def loss(disturbed: pd.DataFrame) -> float:
        prediction = scorer.predict(disturbed)
        if not np.isfinite(prediction).all():
            return float("inf")
        return float(np.mean(project.model.loss(y, prediction)))

    numbers = X.select_dtypes("number").columns
    texts = X.columns.difference(numbers)
    columns = project.schema.Inputs.to_schema().columns
    gaps = [name for name in numbers if columns[name].nullable]
    moved = rng.normal(0, 0.1, (len(X), len(numbers))) * X[numbers].std().to_numpy()
    return {
        "clean": loss(X),
        "missing": loss(X.assign(**{c: X[c].mask(rng.random(len(X)) < 0.1) for c in gaps})),
        "noise": loss(X.assign(**(X[numbers] + moved).astype("float32"))),
        "unseen": max((loss(X.assign(**{name: "?"})) for name in texts), default=loss(X)),
        "extreme": max(
            (
                loss(X.assign(**{name: np.float32(limit)}))
                for name in numbers
                for limit in limits(columns[name])
            ),
            default=loss(X),
        ),
    }


def limits(column: Any) -> list[float]:
    """Return the smallest and the largest value that the schema allows in a column."""
    found = [
        [check.statistics.get("min_value"), check.statistics.get("max_value")]
        for check in column.checks
    ]
    return [limit for pair in found for limit in pair if limit is not None]


if __name__ == "__main__":
    main(evaluate)
