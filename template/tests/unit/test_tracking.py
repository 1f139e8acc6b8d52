from pathlib import Path

import pytest

from mlops import tracking
from mlops.errors import MlopsError
from mlops.settings import Settings, load_settings
from mlops.tracking import Tracker


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings()


def test_a_run_keeps_what_it_is_told(settings: Settings, home: Path) -> None:
    with Tracker.start("train", settings, {"model": {"depth": 3}, "long": "x" * 900},
                       {"git.commit": "abcdef12"}) as run:  # fmt: skip
        run.metrics({"model": {"loss": 0.5}})
        run.curve("curve.valid", [3.0, 2.0, 1.0])
        run.files(home / "params.yaml", "config")
    kept = run.client.get_run(run.run_id)
    assert (kept.info.run_name, kept.info.status) == ("experimental-train-abcdef1", "FINISHED")
    assert kept.data.params == {"model.depth": "3", "long": "x" * tracking.MAX_PARAM}
    assert kept.data.metrics == {"model.loss": 0.5, "curve.valid": 1.0}
    assert [m.step for m in run.client.get_metric_history(run.run_id, "curve.valid")] == [0, 1, 2]
    assert [f.path for f in run.client.list_artifacts(run.run_id, "config")] == [
        "config/params.yaml"
    ]
    assert tracking.history(1)[0].info.run_id == run.run_id


def test_a_run_that_breaks_off_has_failed(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), Tracker.start("train", settings, {}, {}) as run:
        _ = 1 / 0
    assert run.client.get_run(run.run_id).info.status == "FAILED"


def test_a_run_is_resumed_or_started_anew(settings: Settings) -> None:
    known = Tracker.start("train", settings, {}, {}).run_id
    assert Tracker.resume(known, settings).run_id == known
    again = Tracker.resume("0" * 32, settings)
    assert again.client.get_run(again.run_id).data.tags["restored-from"] == "0" * 32


@pytest.mark.parametrize("name", ["Flights", "1st", "a_b", "a" * 64, ""])
def test_an_experiments_name_follows_the_convention(settings: Settings, name: str) -> None:
    with pytest.raises(MlopsError, match="is no name for an experiment"):
        tracking.experiment(tracking.client(settings), name)


def test_flatten() -> None:
    assert tracking.flatten({"a": {"b": {"c": 1}}, "d": [2]}) == {"a.b.c": 1, "d": [2]}
