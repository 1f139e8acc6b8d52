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


class Search:
    """A study, and what its trials need.

    It belongs to the prepared data and the search space: change either, and another begins.
    """

    def __init__(self, params: Params, paths: Paths) -> None:
        import optuna

        if params.tune is None:
            raise MlopsError("params.yaml has no `tune`: give it `trials` and a `space`.")
        missing = [part for part in PARTS if not (paths.prepared / f"{part}.parquet").is_file()]
        if missing:
            raise MlopsError("There is no prepared data: run `make pipeline` first.")
        self.params, self.paths, self.space = params, paths, params.tune.space
        self.settings = load_settings()
        self.parts = {part: pd.read_parquet(paths.prepared / f"{part}.parquet") for part in PARTS}
        facts = environment(params, paths, self.settings)
        name = f"{project.NAME}-{signature(facts['data'], params)}"
        self.study = optuna.create_study(
            study_name=name, storage=f"sqlite:///{paths.root / STORE}", load_if_exists=True
        )
        self._known = {"study": name, **tags(facts)}

    def finished(self) -> list[Any]:
        """Return the trials that gave a loss."""
        import optuna

        found: list[Any] = self.study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        return found

    def wanted(self, trials: int | None) -> int:
        """Return how many trials are to go until ``trials``, or params.yaml's, have finished."""
        finished = len(self.finished())
        limit = trials or (self.params.tune.trials if self.params.tune else 0)
        wanted = max(limit - finished, 0)
        name = self.study.study_name
        log.info("study %s: %d trials finished, %d to go", name, finished, wanted)
        return wanted

    def sampler(self) -> Any:
        """Return what chooses the next values; resumed, it does not choose the first ones again."""
        import optuna

        return optuna.samplers.TPESampler(seed=self.params.seed + len(self.study.trials))

    def best(self) -> dict[str, Any]:
        """Return the values that gave the lowest loss."""
        if not self.finished():
            raise ConvergenceError("No trial converged: narrow tune.space in params.yaml.")
        return dict(self.study.best_params)

    def track(self, chosen: dict[str, Any]) -> Tracker:
        """Start the run of a trial."""
        return Tracker.start("tune", self.settings, {**self.params.model, **chosen}, self._known)


def tune(params: Params, paths: Paths, trials: int | None = None) -> dict[str, Any]:
    """Run trials until ``trials`` have finished, counting earlier calls'; return the best."""
    import optuna

    search = Search(params, paths)

    def objective(trial: optuna.Trial) -> float:
        chosen = {name: suggest(trial, name, search.space[name]) for name in search.space}
        with search.track(chosen) as run:
            try:
                found = loss(params, chosen, search.parts, paths)
            except ConvergenceError as error:
                raise optuna.TrialPruned(str(error)) from error
            run.metrics({"valid.loss": found})
        return found

    if wanted := search.wanted(trials):
        search.study.sampler = search.sampler()
        search.study.optimize(objective, n_trials=wanted, show_progress_bar=True)
    return search.best()


def loss(
    params: Params, chosen: dict[str, Any], parts: dict[str, pd.DataFrame], paths: Paths
) -> float:
    """Return the validation loss of a model with the chosen values."""
    tried = params.model_copy(update={"model": {**params.model, **chosen}})
    model, _ = fit(tried, parts, paths)
    y = parts["valid"][TARGET].to_numpy()
    return float(np.mean(project.model.loss(y, convert.predict(model, inputs(parts["valid"])))))


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
