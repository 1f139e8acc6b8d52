"""From an upstream's records to a consumer, through the model of MLOPS_ENV.

The two ends are stubs. What they were recorded to send and to need stands in upstream.json and
consumer.json, which are the team's: change them with the systems that they stand for.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops import candidate, project
from mlops.contract import Contract
from mlops.release.targets import open_target
from mlops.settings import environment_name, load_settings

from .adapter import Predict, RefusedError, Rows, online, relay
from .stubs import Consumer, Upstream, recorded, served


@pytest.fixture
def predict(tmp_path: Path) -> Predict:
    """The environment's model, as it answers."""
    if "online" in project.SERVING:
        return service(environment_name())
    if "batch" in project.SERVING:
        return lambda records: batch(records, tmp_path)
    pytest.skip("The model answers on devices only: no other system asks it over a network.")


def service(environment: str) -> Predict:
    target = open_target(environment, load_settings(environment))
    if not target.state().address:
        hint = f"`make deploy ENV={environment}`"
        pytest.fail(f"Nothing answers in {environment}: {hint}.", pytrace=False)
    return online(partial(target.ask, None))


def batch(records: Rows, folder: Path) -> Rows:
    pq.write_table(pa.Table.from_pylist(records), folder / "in.parquet")
    command = [sys.executable, "-m", "mlops", "batch", str(folder / "in.parquet")]
    command += ["--out", str(folder / "out.parquet"), "--env", environment_name()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(done.stderr)
    rows = pq.read_table(folder / "out.parquet").to_pylist()
    return [row | {"version": str(row["version"])} for row in rows]


@pytest.fixture
def records() -> Rows:
    """What was recorded of the upstream, and what the model itself gives as its example."""
    model = candidate.fetch(candidate.champion_number())
    return [*recorded("upstream"), Contract.read(model).example]


def test_records_become_what_the_consumer_needs(predict: Predict, records: Rows) -> None:
    consumer = Consumer(recorded("consumer"))
    with served(Upstream(records)) as source, served(consumer) as sink:
        assert relay(source, predict, sink) == len(records)
    assert len(consumer.taken) == len(records)


def test_a_field_renamed_upstream_is_refused_by_name(predict: Predict, records: Rows) -> None:
    name = next(iter(records[-1]))
    changed, consumer = [renamed(record, name) for record in records], Consumer({})
    with (
        served(Upstream(changed)) as source,
        served(consumer) as sink,
        pytest.raises(RefusedError, match=name),
    ):
        relay(source, predict, sink)
    assert consumer.taken == []


def test_a_field_that_the_consumer_misses_is_named(predict: Predict, records: Rows) -> None:
    consumer = Consumer(renamed(recorded("consumer"), "prediction"))
    with (
        served(Upstream(records)) as source,
        served(consumer) as sink,
        pytest.raises(RefusedError, match="prediction_renamed is missing"),
    ):
        relay(source, predict, sink)
    assert consumer.taken == []


def renamed(record: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the record with another name for a field."""
    return {f"{key}_renamed" if key == name else key: value for key, value in record.items()}
