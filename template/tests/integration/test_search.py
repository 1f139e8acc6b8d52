"""The search on Ray, on this machine: real workers, and the team's own model on a sample."""

import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest

from mlops import tracking
from mlops.pipeline import search, tune
from mlops.settings import Params, Paths

pytestmark = pytest.mark.slow


@pytest.fixture
def home(sample: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sample's project; it is the working folder."""
    folder = shutil.copytree(sample.root, tmp_path / "home")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLOPS_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return folder


def tried(folder: Path) -> list[dict[str, Any]]:
    storage = f"sqlite:///{folder / tune.STORE}"
    [name] = optuna.get_all_study_names(storage)
    return [trial.params for trial in optuna.load_study(study_name=name, storage=storage).trials]


def test_it_tries_what_the_plain_search_tries_and_goes_on(
    home: Path, small: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small.tune is None:
        pytest.skip("params.yaml has nothing to search")
    search.tune(small, Paths(), 3)
    plain = shutil.copytree(home, home.with_name("plain"), ignore=shutil.ignore_patterns("*.db"))
    shutil.copy(home / "mlflow.db", plain)
    best = tune.tune(small, Paths(plain), 3)
    assert sorted(map(str, tried(home))) == sorted(map(str, tried(plain)))
    assert search.tune(small, Paths(), 3) == best  # all are finished: no Ray is started
    search.tune(small, Paths(), 4)
    assert len({str(values) for values in tried(home)}) == 4
    runs = [run for run in tracking.history() if run.data.tags["stage"] == "tune"]
    assert min(run.data.metrics["valid.loss"] for run in runs) > 0
    assert len(runs) == 3 + 4


def test_what_diverges_is_no_result(home: Path, small: Params) -> None:
    wild = small.model_copy(update={"model": {"n_estimators": 30, "learning_rate": 1e6}})
    parts = {part: tune.pd.read_parquet(f"data/prepared/{part}.parquet") for part in tune.PARTS}
    assert "Nothing was kept" in search.attempt({}, wild, parts, Paths())["refused"]
