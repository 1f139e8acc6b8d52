"""The stubs and the adapter of tests/system: each end that changes is told by its name."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mlops.contract import Contract

from ..system.adapter import RefusedError, Rows, online, relay
from ..system.stubs import Consumer, Upstream, recorded, served

RECORD = {"colour": "red", "size": 1.0, "count": 3}
NEEDED = {"colour": "red", "prediction": 0.5, "version": "1"}


class Service:
    """Answers as the server of the toy would, by the same schema."""

    def __init__(self, folder: Path) -> None:
        online = pytest.importorskip("mlops.serve.schema", reason="nothing is served online")
        self.schema = online.Schema(Contract.read(folder), 10)

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        try:
            self.schema.records.model_validate(body)
        except ValidationError as error:
            return 422, {"detail": self.schema.refusal(error).detail}
        return 200, {"predictions": [0.5] * len(body["records"]), "version": "1"}


def predict(records: Rows) -> Rows:
    return [{"prediction": 0.5, "version": "1"} for _ in records]


def through(records: Rows, needed: dict[str, Any], ask: Any = predict) -> Rows:
    """Return what reached the consumer."""
    consumer = Consumer(needed)
    with served(Upstream(records)) as source, served(consumer) as sink:
        relay(source, ask, sink)
    return consumer.taken


def test_rows_arrive_with_their_prediction() -> None:
    assert through([RECORD, RECORD], NEEDED) == [RECORD | predict([{}])[0]] * 2


@pytest.mark.parametrize(
    ("needed", "why"),
    [
        ({"score": 0.5}, "score is missing"),
        ({"colour": "red", "shade": "dark"}, "shade is missing"),
        ({"version": 1}, "version is '1', was 1"),
        ({"prediction": [0.1, 0.9]}, r"prediction is 0.5, was \[0.1, 0.9\]"),
        ({"prediction": True}, "prediction is 0.5, was True"),
    ],
)
def test_a_consumer_names_what_it_misses(needed: dict[str, Any], why: str) -> None:
    with pytest.raises(RefusedError, match=f"/predictions: status 422.*{why}"):
        through([RECORD], needed)


def test_a_field_renamed_upstream_is_named(home: Path) -> None:
    ask = online(Service(home / "models/candidate").answer)
    assert len(through([RECORD], NEEDED, ask)) == 1
    hue = {"hue": "red", "size": 1.0, "count": 3}
    with pytest.raises(RefusedError, match=r"(?s)/predict: status 422.*colour is missing.*hue"):
        through([hue], NEEDED, ask)


def test_what_is_not_there_is_told_by_its_address() -> None:
    with served(Upstream([RECORD])) as source, pytest.raises(RefusedError, match=f"{source}/.*404"):
        relay(source, predict, source)


def test_both_ends_are_recorded() -> None:
    assert recorded("upstream")
    assert {"prediction", "version"} <= recorded("consumer").keys()
