"""Runs in MLflow: a SQLite file, or the server that the environment names."""

import logging
import os
import re
import time
from pathlib import Path
from typing import Any

# Before the import, which is when MLflow looks.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from . import project
from .errors import MlopsError
from .settings import Settings, load_settings

# Its own progress is of no interest here.
for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.WARNING)

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
MAX_PARAM = 500
FILE = "sqlite:///"
ARTIFACTS = "mlartifacts"


class Tracker:
    """One run of the project's experiment. ``with Tracker(...)`` ends it, failed or finished."""

    def __init__(self, settings: Settings, run_id: str) -> None:
        self.client = client(settings)
        self.run_id = run_id

    @classmethod
    def start(
        cls, stage: str, settings: Settings, params: dict[str, Any], tags: dict[str, str]
    ) -> "Tracker":
        """Start a run named after its kind, stage and commit."""
        opened = client(settings)
        tags = {"kind": settings.kind, "reason": settings.reason, "stage": stage, **tags}
        name = f"{settings.kind}-{stage}-{tags.get('git.commit', '')[:7] or 'uncommitted'}"
        run = opened.create_run(experiment(opened), run_name=name, tags=tags)
        tracker = cls(settings, run.info.run_id)
        pairs = [Param(key, str(value)[:MAX_PARAM]) for key, value in flatten(params).items()]
        opened.log_batch(run.info.run_id, params=pairs)
        return tracker

    @classmethod
    def resume(cls, run_id: str, settings: Settings) -> "Tracker":
        """Continue a run; start another where the store does not know it.

        The latter happens when DVC brings a stage's outputs back instead of running it.
        """
        tracker = cls(settings, run_id)
        try:
            tracker.client.get_run(run_id)
        except MlflowException:
            return cls.start("restored", settings, {}, {"restored-from": run_id})
        return tracker

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.client.set_terminated(self.run_id, "FAILED" if kind else "FINISHED")

    def metrics(self, values: dict[str, float]) -> None:
        """Log metrics, nested names joined by dots."""
        batch = [Metric(key, float(value), _millis(), 0) for key, value in flatten(values).items()]
        self.client.log_batch(self.run_id, metrics=batch)

    def curve(self, name: str, values: list[float]) -> None:
        """Log one metric's course over the rounds."""
        batch = [Metric(name, value, _millis(), step) for step, value in enumerate(values)]
        for start in range(0, len(batch), 1000):  # the API's limit
            self.client.log_batch(self.run_id, metrics=batch[start : start + 1000])

    def tags(self, values: dict[str, str]) -> None:
        """Set tags."""
        tags = [RunTag(key, str(value)[:MAX_PARAM]) for key, value in values.items()]
        self.client.log_batch(self.run_id, tags=tags)

    def files(self, path: Path, folder: str | None = None) -> None:
        """Store a file, or a folder's files, with the run."""
        if path.is_dir():
            self.client.log_artifacts(self.run_id, str(path), folder)
        elif path.is_file():
            self.client.log_artifact(self.run_id, str(path), folder)


def client(settings: Settings | None = None) -> MlflowClient:
    """Return a client of the environment's tracking store."""
    uri = (settings or load_settings()).tracking_uri
    if uri.startswith(FILE):
        uri = f"{FILE}{home() / uri.removeprefix(FILE)}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def home() -> Path:
    """Return the project's folder, even if this is the copy in which DVC runs an experiment."""
    return Path(str(Path.cwd()).split("/.dvc/tmp/exps/")[0])


def artifacts(uri: str) -> Path:
    """Return where runs keep their files: beside the SQLite file, so that who sees it sees both."""
    return (home() / uri.removeprefix(FILE)).parent / ARTIFACTS


def experiment(opened: MlflowClient, name: str = project.NAME) -> str:
    """Return the experiment's id; make it, if it is new and its name follows the convention."""
    found = opened.get_experiment_by_name(name)
    if found:
        return str(found.experiment_id)
    if not NAME.match(name):
        raise MlopsError(
            f"{name!r} is no name for an experiment: 1 to 63 lower-case letters, digits and "
            "hyphens, starting with a letter."
        )
    local = opened.tracking_uri.startswith(FILE)
    folder = artifacts(opened.tracking_uri).as_uri() if local else None
    return str(opened.create_experiment(name, artifact_location=folder))


def history(limit: int = 20) -> list[Run]:
    """Return the latest runs, newest first."""
    opened = client()
    return list(
        opened.search_runs(
            [experiment(opened)], order_by=["attributes.start_time DESC"], max_results=limit
        )
    )


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a flat mapping, nested names joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _millis() -> int:
    return int(time.time() * 1000)
