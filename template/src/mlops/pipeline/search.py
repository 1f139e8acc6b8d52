"""The same search on Ray: on this machine, or on the cluster that RAY_ADDRESS names.

Ray Tune trains a round of trials side by side. What they found is written here after each: the
study that :mod:`~.tune` keeps, and a run of each trial. So a search that was killed goes on, and a
cluster need reach neither the study nor MLflow.
"""

import logging
import math
import os
import tempfile
from contextlib import suppress
from importlib import import_module
from typing import Any

from .. import project
from ..errors import ConvergenceError
from ..settings import Params, Paths
from . import log
from .tune import Search, loss

# Before the import, which is when Ray looks: nothing is told to its makers, Ctrl-C ends it, and
# workers run as they are, though `uv run` started this.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")

ROUND = 2  # trials of a round, for each CPU: that many at most are lost when it is killed


def tune(params: Params, paths: Paths, trials: int | None = None) -> dict[str, Any]:
    """Run trials until ``trials`` have finished, counting earlier calls'; return the best."""
    import ray

    search = Search(params, paths)
    if wanted := search.wanted(trials):
        # Workers on other machines have the packages, but not this commit's code.
        code = [import_module(name).__path__[0] for name in ("mlops", project.PACKAGE)]
        runtime = {"py_modules": code}
        # Without a name Ray would take to whatever cluster was last started here, dead or not.
        address = os.environ.get("RAY_ADDRESS") or "local"
        quiet = {"logging_level": logging.WARNING, "log_to_driver": False}
        with ray.init(address, runtime_env=runtime, **quiet):
            size = ROUND * max(int(ray.cluster_resources().get("CPU", 1)), 1)
            while wanted:
                count = min(size, wanted)
                _round(search, count)
                wanted -= count
                log.info("%d trials to go", wanted)
    return search.best()


def _round(search: Search, count: int) -> None:
    """Run trials side by side, and keep what they found."""
    import optuna
    from ray import tune as ray_tune
    from ray.tune.search.optuna import OptunaSearch

    space = {name: distribution(bounds) for name, bounds in search.space.items()}
    known = search.finished()
    algorithm = OptunaSearch(
        space,
        metric="loss",
        mode="min",
        sampler=search.sampler(),
        points_to_evaluate=[trial.params for trial in known],
        evaluated_rewards=[trial.value for trial in known],
    )
    with tempfile.TemporaryDirectory() as scratch:
        tuner = ray_tune.Tuner(
            ray_tune.with_parameters(
                attempt, params=search.params, parts=search.parts, paths=search.paths
            ),
            tune_config=ray_tune.TuneConfig(search_alg=algorithm, num_samples=count),
            run_config=ray_tune.RunConfig(
                storage_path=scratch,
                verbose=0,
                failure_config=ray_tune.FailureConfig(fail_fast=True),
            ),
        )
        results = list(tuner.fit())
    for result in results:
        if result.error:
            raise result.error
    states = optuna.trial.TrialState
    for result in results:
        found, chosen = result.metrics or {}, result.config or {}
        refused = found["refused"]
        trial = optuna.trial.create_trial(
            state=states.PRUNED if refused else states.COMPLETE,
            value=None if refused else found["loss"],
            params=chosen,
            distributions=space,
        )
        search.study.add_trial(trial)
        with suppress(ConvergenceError), search.track(chosen) as run:
            if refused:
                raise ConvergenceError(refused)
            run.metrics({"valid.loss": found["loss"]})


def attempt(config: dict[str, Any], params: Params, parts: Any, paths: Paths) -> dict[str, Any]:
    """Return what a trial found; on a worker."""
    try:
        return {"loss": loss(params, config, parts, paths), "refused": ""}
    except ConvergenceError as error:
        return {"loss": math.inf, "refused": str(error)}


def distribution(bounds: tuple[Any, ...]) -> Any:
    """Return the bounds as Optuna has them: of integers if both are, as in ``tune.suggest``."""
    from optuna.distributions import FloatDistribution, IntDistribution

    low, high, log_scale = bounds[0], bounds[1], len(bounds) == 3
    whole = isinstance(low, int) and isinstance(high, int)
    return (IntDistribution if whole else FloatDistribution)(low, high, log=log_scale)
