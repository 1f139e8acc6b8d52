"""The whole pipeline, from the source to a judged and reported candidate, in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops import candidate, pipeline, project, tracking
from mlops.errors import ConvergenceError
from mlops.lineage import Lineage
from mlops.settings import Params, Paths


@pytest.fixture
def there(sample: Paths, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """The sample's project as the working folder."""
    monkeypatch.chdir(sample.root)
    monkeypatch.setenv("MLOPS_TRACKING_URI", f"sqlite:///{sample.root}/mlflow.db")
    return Paths()


@pytest.fixture
def empty(tmp_path: Path, settle: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A project in which nothing has run."""
    monkeypatch.chdir(settle(tmp_path))
    monkeypatch.setenv("MLOPS_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return Paths()


def test_every_artefact_is_there(there: Paths, small: Params) -> None:
    outputs = [there.profile, there.validation, there.curves, there.metrics]
    outputs += [there.model / name for name in ("model.onnx", "model.skops", "lineage.json")]
    assert [str(path) for path in outputs if not path.is_file()] == []
    rows = {path.stem: len(pd.read_parquet(path)) for path in there.raw.iterdir()}
    whole = {period: len(project.data.load(period)) for period in sorted(rows)}
    assert rows == {period: round(small.data.sample * count) for period, count in whole.items()}


def test_metrics_are_finite_and_the_model_beats_the_mean(there: Paths) -> None:
    found = json.loads(there.metrics.read_text())
    assert np.isfinite([*found["model"].values(), *found["robustness"].values()]).all()
    assert found["delta"]["loss"] < 0
    assert found["rows"] == len(pd.read_parquet(there.prepared / "test.parquet"))


def test_the_run_is_tracked_with_all_it_came_from(there: Paths) -> None:
    [run] = [run for run in tracking.history() if run.data.tags["stage"] == "train"]
    lineage = Lineage.read(there.model)
    expected = {
        "git.commit": lineage.git.commit,
        "data.raw": "11aa.dir",
        "digest.lock": lineage.lock,
        "digest.model": lineage.digest,
        "compute.cpus": str(lineage.compute.cpus),
    }
    assert expected.items() <= run.data.tags.items()
    assert (len(lineage.git.commit), len(lineage.lock), run.info.status) == (40, 64, "FINISHED")
    assert {"model.loss", "baseline.loss", "delta.loss", "curve.valid"} <= {*run.data.metrics}


def test_the_same_run_twice_is_the_same_model(sample: Paths, empty: Paths, small: Params) -> None:
    pipeline.run(small, empty)
    assert Lineage.read(empty.model).digest == Lineage.read(sample.model).digest
    assert empty.metrics.read_bytes() == sample.metrics.read_bytes()


def test_a_diverging_run_fails_and_keeps_nothing(empty: Paths, small: Params) -> None:
    wild: dict[str, Any] = {"n_estimators": 30, "learning_rate": 1e6}
    with pytest.raises(ConvergenceError, match="Nothing was kept") as refusal:
        pipeline.run(small.model_copy(update={"model": wild}), empty)
    assert refusal.value.exit_code == 4
    assert not empty.model.exists()
    assert tracking.history(1)[0].info.status == "FAILED"


def test_the_candidate_is_judged_and_reported(there: Paths) -> None:
    record = candidate.judge(there)
    assert {check.gate.partition(".")[0] for check in record.checks} == {
        "absolute", "baseline", "robustness", "parity", "footprint",
    }  # fmt: skip
    assert all(check.passed for check in record.checks if check.gate.startswith("parity"))
    assert project.TITLE in (there.reports / "report.html").read_text()
