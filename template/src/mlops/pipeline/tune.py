"""Search hyperparameters with Optuna: resumable, every trial tracked."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from .. import convert, project
from ..errors import ConvergenceError, MlopsError
from ..lineage import environment, tags
from ..settings import Params, Paths, load_settings
from ..tracking import Tracker
from . import log
from .prepare import TARGET, inputs
from .train import PARTS, fit

STORE = "tune.db"


def tune(params: Params, paths: Paths, trials: int | None = None) -> dict[str, Any]:
    """Run trials until ``trials`` have finished, counting those of earlier calls; return the best.

    The study belongs to the prepared data and the search space: change either, and another begins.
    """
    import optuna

    if params.tune is None:
        raise MlopsError("params.yaml has no `tune`: give it `trials` and a `space`.")
    space = params.tune.space
    missing = [part for part in PARTS if not (paths.prepared / f"{part}.parquet").is_file()]
    if missing:
        raise MlopsError("There is no prepared data: run `make pipeline` first.")
    settings = load_settings()
    facts = environment(params, paths, settings)
    parts = {part: pd.read_parquet(paths.prepared / f"{part}.parquet") for part in PARTS}

    def objective(trial: optuna.Trial) -> float:
        chosen = {**params.model, **{name: suggest(trial, name, space[name]) for name in space}}
        tried = params.model_copy(update={"model": chosen})
        known = {"study": trial.study.study_name, **tags(facts)}
        with Tracker.start("tune", settings, chosen, known) as run:
            try:
                model, _ = fit(tried, parts, paths)
            except ConvergenceError as error:
                raise optuna.TrialPruned(str(error)) from error
            y = parts["valid"][TARGET].to_numpy()
            prediction = convert.predict(model, inputs(parts["valid"]))
            loss = float(np.mean(project.model.loss(y, prediction)))
            run.metrics({"valid.loss": loss})
        return loss

    name = f"{project.NAME}-{signature(facts['data'], params)}"
    study = optuna.create_study(
        study_name=name,
        storage=f"sqlite:///{paths.root / STORE}",
        sampler=optuna.samplers.TPESampler(seed=params.seed),
        load_if_exists=True,
    )
    finished = len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE]))
    wanted = (trials or params.tune.trials) - finished
    log.info("study %s: %d trials finished, %d to go", name, finished, max(wanted, 0))
    if wanted > 0:
        study.optimize(objective, n_trials=wanted, show_progress_bar=True)
    return dict(study.best_params)


def suggest(trial: Any, name: str, bounds: tuple[Any, ...]) -> float | int:
    """Ask the study for a value between the bounds: an integer if both are."""
    low, high, log_scale = bounds[0], bounds[1], len(bounds) == 3
    if isinstance(low, int) and isinstance(high, int):
        return int(trial.suggest_int(name, low, high, log=log_scale))
    return float(trial.suggest_float(name, low, high, log=log_scale))


def signature(data: dict[str, str], params: Params) -> str:
    """Return eight characters that change with the data, the search space or the split."""
    text = f"{sorted(data.items())}{params.tune}{params.split}{params.data}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]
