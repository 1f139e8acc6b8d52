"""Fit the model, convert it, and keep it with its lineage."""

import json
import shutil
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from .. import contract, convert, project
from ..errors import ConvergenceError, MlopsError
from ..lineage import Lineage, environment, sha256, tags
from ..scorer import SERVED
from ..settings import Params, Paths, load_settings
from ..tracking import Tracker
from . import log, main
from .prepare import TARGET, inputs, kinds

Array = NDArray[np.floating[Any]]
Curves = dict[str, list[float]]

PARTS = ["train", "valid", "test"]


def train(params: Params, paths: Paths) -> None:
    """Write models/candidate and reports/curves.csv; track all of it as a run.

    Raises:
        ConvergenceError: the loss is no number, or no better than guessing the mean. Nothing is
            kept, and the run is marked as failed.
    """
    known_hypothesis(params.train.hypothesis, paths)
    settings = load_settings()
    facts = environment(params, paths, settings)
    shutil.rmtree(paths.model, ignore_errors=True)
    with Tracker.start("train", settings, facts["params"], tags(facts)) as run:
        parts = {part: pd.read_parquet(paths.prepared / f"{part}.parquet") for part in PARTS}
        model, curves = fit(params, parts, paths)
        for name, values in curves.items():
            run.curve(f"curve.{name}", values)
        X = inputs(parts["test"])
        whole = example(X)
        convert.save(model, kinds(), paths.model)
        lineage = Lineage(
            **facts,
            run=run.run_id,
            digest=sha256(paths.model / SERVED),
            periods=json.loads((paths.prepared / "periods.json").read_text(encoding="utf-8")),
            inputs=kinds(),
            example=whole,
            baseline=mean_of(parts["train"][TARGET].to_numpy()),
        )
        lineage.write(paths.model)
        columns = project.schema.Inputs.to_schema().columns
        key = project.schema.Records.to_schema().unique or []
        contract.derive(columns, X, whole, convert.predict(model, X), key).write(paths.model)
        paths.reports.mkdir(exist_ok=True)
        pd.DataFrame(curves).rename_axis("round").to_csv(paths.curves)
        run.tags({"digest.model": lineage.digest})
        run.files(paths.model, "model")
        run.files(paths.curves)
        run.files(paths.logs, "logs")
    log.info("%d rounds, model %s", len(next(iter(curves.values()), [])), lineage.digest[:12])


def fit(params: Params, parts: dict[str, pd.DataFrame], paths: Paths) -> tuple[Pipeline, Curves]:
    """Return the fitted model and its learning curves; warm-started, if there is a parent."""
    y, y_valid = (parts[part][TARGET].to_numpy() for part in ("train", "valid"))
    parent = convert.load(paths.parent) if params.train.parent else None
    model = project.model.build(params.model, params.seed)
    try:
        curves = project.model.fit(
            model, inputs(parts["train"]), y, inputs(parts["valid"]), y_valid, parent
        )
    except (FloatingPointError, ValueError) as error:
        if "nan" not in str(error).lower() and "inf" not in str(error).lower():
            raise
        raise ConvergenceError(f"Training broke off: {error}. Nothing was kept.") from error
    prediction = convert.predict(model, inputs(parts["valid"]))
    converged(curves, y_valid, prediction, constant(mean_of(y), len(y_valid)))
    return model, curves


def converged(curves: Curves, y: Array, prediction: Array, guess: Array) -> None:
    """Raise :class:`ConvergenceError` unless the losses are numbers and beat ``guess``."""
    for name, values in curves.items():
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            raise ConvergenceError(
                f"Training diverged: the {name} loss is {values[at]} in round {at}. Nothing was "
                "kept: lower the learning rate."
            )
    reached = float(np.mean(project.model.loss(y, prediction)))
    limit = float(np.mean(project.model.loss(y, guess)))
    if not reached < limit:
        raise ConvergenceError(
            f"Training did not converge: the validation loss is {reached:.4f}, guessing the mean "
            f"gives {limit:.4f}. Nothing was kept: lower the learning rate, or look at the data."
        )


def mean_of(y: Array) -> float | list[float]:
    """Return the mean of ``y``; for more than two classes the share of each."""
    classes = np.unique(y)
    if project.TASK == "classification" and len(classes) > 2:
        return [float(np.mean(y == label)) for label in classes]
    return float(np.mean(y))


def constant(value: float | list[float], rows: int) -> Array:
    """Return ``value`` for each of ``rows`` rows, shaped as predictions are."""
    return np.repeat(np.asarray(value)[np.newaxis], rows, axis=0)


def example(X: pd.DataFrame) -> dict[str, Any]:
    """Return one record without gaps, or with the fewest."""
    row = X.loc[X.isna().sum(axis=1).idxmin()]

    def plain(value: Any) -> Any:
        return None if pd.isna(value) else value if isinstance(value, str) else float(value)

    return {name: plain(value) for name, value in row.items()}


def known_hypothesis(identifier: str, paths: Paths) -> None:
    """Refuse a hypothesis that docs/team/hypotheses.yaml does not list."""
    path = paths.root / "docs/team/hypotheses.yaml"
    if not identifier or not path.is_file():
        return
    known = [entry["id"] for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or []]
    if identifier not in known:
        raise MlopsError(
            f"params.yaml: train.hypothesis {identifier!r} is not in {path}, which lists "
            f"{', '.join(known) or 'none'}."
        )


if __name__ == "__main__":
    main(train)
