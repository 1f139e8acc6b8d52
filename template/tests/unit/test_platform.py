import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops.release.targets.figures import own, read
from mlops.serve.app import create
from mlops.serve.platform import PATH, Platform, line
from mlops.settings import Serving, Settings

RECORD: dict[str, Any] = {"colour": "red", "size": 1.5, "count": 3}


@pytest.fixture
def server(home: Path) -> Any:
    settings = Settings(serving=Serving(max_body_kb=4))
    return create(home / "models/candidate", "3", settings)


@pytest.fixture
def client(server: Any) -> Iterator[TestClient]:
    with TestClient(Platform(server)) as client:
        yield client


def test_the_one_path_answers_as_predict_does(client: TestClient) -> None:
    plain = client.post("/predict", json={"records": [RECORD]}).json()
    for body in (
        {"records": [RECORD]},
        {"path": "/predict", "body": {"records": [RECORD]}},
        {"instances": [RECORD]},
    ):
        answer = client.post(PATH, json=body)
        assert answer.status_code == 200
        assert answer.json()["predictions"] == plain["predictions"]
        assert answer.headers["x-model-version"] == "3"


def test_what_is_meant_for_another_path_reaches_it(client: TestClient) -> None:
    assert client.post(PATH, json={"path": "/ready", "body": None}).json()["version"] == "3"
    said = {"request_id": "a", "version": "3", "outcome": 1.0}
    assert client.post(PATH, json={"path": "/feedback", "body": said}).status_code == 202
    assert client.post(PATH, json={"path": "/elsewhere", "body": None}).status_code == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"path": 3}', b'{"records": 3}'])
def test_what_is_no_request_is_refused_as_predict_refuses_it(
    client: TestClient, body: bytes
) -> None:
    kind = {"content-type": "application/json"}
    mine, plain = (client.post(p, content=body, headers=kind) for p in (PATH, "/predict"))
    assert (mine.status_code, mine.json()) == (plain.status_code, plain.json())
    assert mine.status_code == 422


def test_a_body_that_is_too_large_is_refused(client: TestClient) -> None:
    assert client.post(PATH, json={"records": [RECORD] * 1000}).status_code == 413


def test_a_process_that_lives_says_so(client: TestClient) -> None:
    assert client.get("/ping").json() == {"status": "alive"}


def test_the_log_has_the_counts(client: TestClient, server: Any) -> None:
    for _ in range(3):
        client.post(PATH, json={"records": [RECORD]})
    client.post(PATH, json={"records": [{}]})
    told = json.loads(line(server, "a"))["figures"]
    seen = own([read(told["text"])])
    assert (seen.requests, seen.errors, seen.versions) == (4, 0, {"3": 3})
    assert sum(seen.latency.counts) == 4
    assert sum(seen.predictions.counts) == 3
