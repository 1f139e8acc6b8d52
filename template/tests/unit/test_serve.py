import asyncio
import itertools
import json
import math
import pickle
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from mlops import candidate, registry
from mlops.contract import Contract
from mlops.errors import MlopsError
from mlops.scorer import Scorer
from mlops.serve import __main__ as process
from mlops.serve import app as serving
from mlops.serve import auth, capture, explain
from mlops.serve.app import Server, create
from mlops.settings import Serving, Settings

RECORD: dict[str, Any] = {"colour": "red", "size": 1.5, "count": 3}
Start = Callable[..., TestClient]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Start a server of the toy, with these settings; it ends with the test."""
    clients = []

    def start(key: str | None = None, **serving: Any) -> TestClient:
        chosen = Settings(serving=Serving(**serving), api_keys=key)  # type: ignore[arg-type]
        client = TestClient(create(home / "models/candidate", "3", chosen))
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def client(start: Start) -> TestClient:
    return start()


def server(client: TestClient) -> Server:
    found = client.app
    assert isinstance(found, Server)
    return found


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    path = capture.location(home / "deployments", "dev", "3")
    with sqlite3.connect(path) as database:
        return database.execute(query).fetchall()


def counts(client: TestClient) -> dict[str, float]:
    """Return the metrics by their line's beginning."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line[0] != "#"]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def settled(done: Callable[[], Any]) -> None:
    """Wait until the writer has done its work."""
    for _ in range(500):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_answers_as_the_model_does(client: TestClient, home: Path) -> None:
    records = [RECORD, RECORD | {"size": None, "colour": "blue"}, RECORD | {"size": 9}]
    answer = client.post("/predict", json={"records": records}, headers={"x-request-id": "mine-1"})
    columns = {name: [record[name] for record in records] for name in RECORD}
    expected = Scorer(home / "models/candidate/model.onnx").predict(columns).tolist()
    assert answer.status_code == 200
    assert answer.json() == {"predictions": expected, "version": "3", "request_id": "mine-1"}
    assert answer.headers["x-model-version"] == "3"
    assert answer.headers["x-request-id"] == "mine-1"


def test_large_batches_are_answered_alike(client: TestClient) -> None:
    one = client.post("/predict", json={"records": [RECORD]}).json()["predictions"]
    body = json.dumps({"records": [RECORD] * 1000})
    assert len(body) > serving.INLINE
    many = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert many.json()["predictions"] == pytest.approx(one * 1000, abs=1e-6)


def test_every_answer_has_an_id_of_its_own(client: TestClient) -> None:
    given = ["two words", "x" * 129, "é".encode(), ""]
    answers = [client.get("/nowhere", headers={"x-request-id": text}) for text in given]
    assert len({answer.headers["x-request-id"] for answer in answers} - {*map(str, given)}) == 4
    assert {answer.headers["x-model-version"] for answer in answers} == {"3"}


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "range": ({"size": 11}, "size", "size is 11: give a number from 0 to 10, or null"),
    "choice": ({"colour": "pink"}, "colour", "colour is 'pink': give one of red, blue"),
    "text": ({"count": "3"}, "count", "count is '3': give an integer from 0 to 9"),
    "fraction": ({"count": 3.5}, "count", "count is 3.5: give an integer"),
    "truth": ({"size": True}, "size", "size is True: give a number"),
    "null": ({"colour": None}, "colour", "colour is None: give one of red, blue"),
    "infinity": ({"size": math.inf}, "size", "size is inf: give a number from 0 to 10"),
    "nan": ({"size": math.nan}, "size", "size is nan: give a number from 0 to 10"),
    "huge": ({"count": 10**400}, "count", "give an integer from 0 to 9"),
    "list": ({"size": [1]}, "size", "size is [1]: give a number"),
    "unknown": ({"other": 1}, "other", "'other' is no field here"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_wrong_field_is_named_with_its_value_and_limits(client: TestClient, fault: str) -> None:
    change, name, said = REFUSED[fault]
    body = json.dumps({"records": [RECORD, RECORD | change]})
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    (found,) = answer.json()["detail"]
    assert found["loc"] == ["body", "records", 1, name]
    assert said in found["msg"]
    assert set(found) == {"loc", "msg", "type"}


def test_a_missing_field_is_named(client: TestClient) -> None:
    answer = client.post("/predict", json={"records": [{"colour": "red", "size": 1}]})
    (found,) = answer.json()["detail"]
    assert found["msg"] == "count is missing: give an integer from 0 to 9"


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no json": b"{",
    "no object": b"[]",
    "no records": b"{}",
    "empty": b'{"records": []}',
    "deep": b"[" * 100_000,
    "surrogate": b'{"records": [{"colour": "\\ud800", "size": 1, "count": 1}]}',
    "not utf-8": b'{"records": "\xff"}',
    "many faults": b'{"records": [' + b"1," * 500 + b"1]}",
}


@pytest.mark.parametrize("body", BODIES)
def test_no_body_is_an_accident(client: TestClient, body: str) -> None:
    for path in ("/predict", "/explain", "/feedback"):
        headers = {"content-type": "application/json"}
        answer = client.post(path, content=BODIES[body], headers=headers)
        assert answer.status_code == 422
        assert 1 <= len(answer.json()["detail"]) <= 20


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("red")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.dictionaries(st.sampled_from([*RECORD]) | st.text(), VALUES), max_size=3))
def test_no_record_is_an_accident(client: TestClient, records: list[dict[str, Any]]) -> None:
    body = json.dumps({"records": [{**RECORD, **record} for record in records]})
    headers = {"content-type": "application/json"}
    answer = client.post("/predict", content=body, headers=headers)
    assert answer.status_code in {200, 422}
    assert "detail" in answer.json() or len(answer.json()["predictions"]) == len(records)


def test_what_is_too_much_is_refused(start: Start) -> None:
    client = start(max_batch=2, max_body_kb=1)
    answer = client.post("/predict", json={"records": [RECORD] * 3})
    assert answer.status_code == 422
    assert "at most 2 items" in answer.json()["detail"][0]["msg"]
    headers = {"content-type": "application/json"}
    told = client.post("/predict", content=b" " * 2000, headers=headers)
    chunks = client.post("/predict", content=iter([b" " * 600] * 3), headers=headers)
    for answer in (told, chunks):
        assert answer.status_code == 413
        assert answer.json()["detail"] == "A body holds at most 1 kB."
    assert client.post("/predict", data={"records": "1"}).status_code == 415
    assert client.get("/predict").status_code == 405


def call(server: Server, receive: Callable[[], Any], size: int = 0) -> list[Any]:
    """Send one request to the application itself; return what it sends."""
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(server(scope, receive, send))
    return sent


def test_a_slow_body_is_not_awaited(start: Start) -> None:
    async def receive() -> Any:
        await asyncio.sleep(60)

    start_, body = call(server(start(timeout=0.05)), receive)
    assert start_["status"] == 408
    assert b"within 0.05 s" in body["body"]


def test_a_caller_that_leaves_gets_no_answer(client: TestClient) -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    assert call(server(client), receive) == []
    assert counts(client)['mlops_requests_total{status="499"}'] == 1


def test_slow_models_hold_up_nobody(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, answer_ = threading.Event(), Scorer.answer

    def answer(self: Scorer, records: Any) -> Any:
        ended.wait(serving.SLOW * 3)
        return answer_(self, records)

    monkeypatch.setattr(Scorer, "answer", answer)
    client = start(timeout=0.2)
    assert client.post("/predict", json={"records": [RECORD]}).status_code == 200
    monkeypatch.setattr(Scorer, "answer", lambda *_: ended.wait(60))
    late = client.post("/predict", json={"records": [RECORD]})
    assert (late.status_code, late.headers["retry-after"]) == (503, "1")
    assert client.get("/health").status_code == 200
    monkeypatch.setattr(serving, "WAITING", 0)
    busy = client.post("/predict", json={"records": [RECORD]})
    assert busy.json()["detail"] == "0 requests are waiting already."
    ended.set()


def test_a_failing_model_is_counted_and_tells_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(*_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(Scorer, "answer", answer)
    failed = client.post("/predict", json={"records": [RECORD]}, headers={"x-request-id": "r1"})
    assert (failed.status_code, failed.headers["x-request-id"]) == (500, "r1")
    assert "secret" not in failed.text
    assert "request r1 failed" in caplog.text
    assert counts(client)['mlops_requests_total{status="500"}'] == 1
    monkeypatch.setattr(Scorer, "answer", lambda *_: np.array([0.5, math.nan]))
    refused = client.post("/predict", json={"records": [RECORD, RECORD]})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "records", 1]


def test_it_says_when_it_is_about_to_end(client: TestClient) -> None:
    digest = server(client).model.digest
    assert client.get("/ready").json() == {"version": "3", "digest": digest}
    server(client).draining = True
    for path, status in {"/ready": 503, "/health": 200}.items():
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.headers["connection"] == "close"
    assert client.post("/predict", json={"records": [RECORD]}).status_code == 200


def test_the_interface_is_described(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    record = described["components"]["schemas"]["Record"]
    assert set(record["required"]) == set(RECORD)
    assert record["additionalProperties"] is False
    assert record["properties"]["colour"]["enum"] == ["red", "blue"]
    count = {"type": "integer", "minimum": 0, "maximum": 9}
    assert count.items() <= record["properties"]["count"].items()
    size = record["properties"]["size"]["anyOf"]
    assert size == [{"type": "number", "minimum": 0, "maximum": 10}, {"type": "null"}]
    assert client.post("/predict", json={"records": [record["example"]]}).status_code == 200
    refusals = {"401", "408", "413", "415", "422", "503"}
    assert refusals < described["paths"]["/predict"]["post"]["responses"].keys()
    assert "/openapi.json" in client.get("/docs").text


def test_all_is_counted(client: TestClient) -> None:
    odd = RECORD | {"size": None}
    client.post("/predict", json={"records": [RECORD, RECORD, odd]})
    client.post("/predict", json={"records": [{}]})
    client.post("/explain", json={"record": RECORD})
    for version in ("3", "2"):
        feedback = {"request_id": "r", "version": version, "outcome": 2.5}
        assert client.post("/feedback", json=feedback).status_code == 202
    found = counts(client)
    assert found['mlops_requests_total{status="200"}'] == 1
    assert found['mlops_requests_total{status="422"}'] == 1
    assert found["mlops_request_seconds_count"] == 2
    assert found['mlops_predictions_total{version="3"}'] == 3
    assert found['mlops_prediction_bucket{le="1.0",version="3"}'] == 3
    assert found['mlops_prediction_bucket{le="0.02",version="3"}'] <= 3
    assert found['mlops_missing_total{field="size"}'] == 1
    assert found['mlops_feedback_total{version="3"}'] == 1
    assert found['mlops_feedback_sum{version="3"}'] == 2.5
    assert found['mlops_feedback_squares{version="3"}'] == 6.25
    assert found["mlops_capture_dropped_total"] == 0
    assert found[f'mlops_model_info{{digest="{server(client).model.digest}",version="3"}}'] == 1
    assert found["process_resident_memory_bytes"] > 0


def test_what_training_has_not_seen_is_counted_and_captured(home: Path, start: Start) -> None:
    edit(home, lambda c: c["fields"][0].update(usual=["blue"]) or c.update(quantiles=[0.0] * 11))
    edit(home, lambda c: c["fields"][2].update(usual=[5, 9]))
    client = start()
    client.post("/predict", json={"records": [RECORD]})
    names = ["count", "colour", "prediction"]
    assert [counts(client)[f'mlops_unusual_total{{field="{name}"}}'] for name in names] == [1, 1, 1]
    server(client).close()
    ((unusual,),) = rows(home, "SELECT unusual FROM prediction")
    assert json.loads(unusual) == names


def edit(home: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the toy's contract."""
    path = home / "models/candidate/contract.json"
    contract = json.loads(path.read_text())
    change(contract)
    path.write_text(json.dumps(contract))


def test_requests_are_captured_without_what_is_personal(home: Path, start: Start) -> None:
    edit(home, lambda c: c["fields"][0].update(personal=True, usual=[]))
    client = start()
    headers = {"x-request-id": "r1", "x-caller": "shop-7"}
    answer = client.post("/predict", json={"records": [RECORD, RECORD]}, headers=headers).json()
    server(client).close()
    columns = "request_id, position, caller, environment, version, record, prediction"
    first, second = rows(home, f"SELECT {columns} FROM prediction ORDER BY position")  # noqa: S608
    assert first[:5] == ("r1", 0, "shop-7", "dev", "3")
    assert second[1] == 1
    assert json.loads(first[5]) == RECORD | {"colour": capture.MASK}
    assert first[6] == pytest.approx(answer["predictions"][0])
    ((age,),) = rows(home, "SELECT strftime('%s') - time FROM prediction WHERE position = 0")
    assert abs(age) < 3600
    assert rows(home, "SELECT DISTINCT unusual FROM prediction") == [("[]",)]  # nobody knows


def test_what_is_kept_is_what_was_sent_and_answered(home: Path, client: TestClient) -> None:
    records = [RECORD, RECORD | {"colour": "blue", "size": None}]
    body = json.dumps({"records": records}, indent=1)
    headers = {"content-type": "application/json", "x-request-id": "r1"}
    answer = client.post("/predict", content=body, headers=headers)
    assert client.post("/predict", json={"records": [{}]}).status_code == 422
    server(client).close()
    assert rows(home, "SELECT body, answer FROM request") == [(body, answer.text)]
    found = capture.find(capture.location(home / "deployments", "dev", "3"), "r1", 1)
    assert found
    assert json.loads(found["record"]) == records[1]
    assert found["prediction"] == answer.json()["predictions"][1]


def test_feedback_is_captured_even_if_predictions_are_not(home: Path, start: Start) -> None:
    client = start(capture=False)
    client.post("/predict", json={"records": [RECORD]})
    client.post("/feedback", json={"request_id": "r1", "version": "2", "outcome": 1})
    server(client).close()
    assert rows(home, "SELECT request_id, version, outcome FROM feedback") == [("r1", "2", 1.0)]
    assert rows(home, "SELECT * FROM prediction") == []


def test_how_late_feedback_comes_is_measured(home: Path, client: TestClient) -> None:
    client.post("/predict", json={"records": [RECORD]}, headers={"x-request-id": "r1"})
    client.post("/feedback", json={"request_id": "r1", "version": "3", "outcome": 1})
    client.post("/feedback", json={"request_id": "unknown", "version": "3", "outcome": 1})
    server(client).close()
    assert counts(client)["mlops_feedback_lag_seconds_count"] == 1


def test_the_oldest_rows_go(home: Path, start: Start) -> None:
    client = start(capture_rows=3)
    for name in "abc":
        records = {"records": [RECORD] * 2}
        client.post("/predict", json=records, headers={"x-request-id": name})
    server(client).close()
    kept = rows(home, "SELECT request_id, position FROM prediction")  # requests stay whole
    assert kept == [("b", 0), ("b", 1), ("c", 0), ("c", 1)]


def test_what_cannot_be_captured_is_dropped_and_counted(home: Path, client: TestClient) -> None:
    (home / "deployments").write_text("a file where the folder should be")
    answer = client.post("/predict", json={"records": [RECORD] * 2})
    assert answer.status_code == 200
    settled(lambda: counts(client)["mlops_capture_dropped_total"] == 2)
    (home / "deployments").unlink()
    client.post("/predict", json={"records": [RECORD]})
    server(client).close()
    assert rows(home, "SELECT count(*) FROM prediction") == [(1,)]


def test_the_queue_is_bounded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "LIMIT", 2)
    client.post("/predict", json={"records": [RECORD] * 3})
    assert counts(client)["mlops_capture_dropped_total"] == 3


def test_a_linear_model_is_explained_exactly() -> None:
    weights = {"a": 2.0, "b": -3.0, "c": 0.5}
    record, typical = {"a": 1.0, "b": 2.0, "c": 4.0}, {"a": 0.0, "b": 1.0, "c": 4.0}
    base, found = explain.shapley(
        lambda columns: sum(w * columns[name].astype(float) for name, w in weights.items()),
        record,
        typical,
    )
    assert base == pytest.approx(-1.0)
    assert found == pytest.approx({"a": 2.0, "b": -3.0, "c": 0.0})


def test_interactions_are_shared_as_shapley_says() -> None:
    def predict(columns: Any) -> Any:
        a, b, c = (columns[name].astype(float) for name in "abc")
        return np.stack([a * b + c, b * c * a], axis=1)

    record, typical = {"a": 2.0, "b": 3.0, "c": 4.0}, {"a": 1.0, "b": 0.0, "c": 1.0}
    base, found = explain.shapley(predict, record, typical, pairs=400)
    exact = {name: np.zeros(2) for name in record}
    for order in itertools.permutations(record):
        now = dict(typical)
        for name in order:
            before = predict({key: np.array([value]) for key, value in now.items()})[0]
            now[name] = record[name]
            after = predict({key: np.array([value]) for key, value in now.items()})[0]
            exact[name] += (after - before) / 6
    for name, value in exact.items():
        assert found[name] == pytest.approx(value, abs=1.0)
    full = predict({key: np.array([value]) for key, value in record.items()})[0]
    assert base + sum(found.values()) == pytest.approx(full)
    again = explain.shapley(predict, record, typical, pairs=400)[1]
    assert all((found[name] == again[name]).all() for name in found)


def test_explanations_add_up_to_the_prediction(client: TestClient) -> None:
    record = {"colour": "blue", "size": 9.0, "count": None}
    assert client.post("/explain", json={"record": record}).status_code == 422
    record["count"] = 0
    found = client.post("/explain", json={"record": record}).json()
    total = found["base"] + sum(found["contributions"].values())
    assert total == pytest.approx(found["prediction"], abs=1e-6)
    whole = {"records": [record | {"count": 0.0}]}  # an integer, as JSON Schema has it
    assert client.post("/predict", json=whole).json()["predictions"] == [found["prediction"]]
    assert max(found["contributions"], key=lambda name: found["contributions"][name]) == "size"
    nothing = dict.fromkeys(RECORD, 0.0)
    contract = Contract.read(Path("models/candidate"))
    typical = {field.name: field.typical for field in contract.fields}
    found = client.post("/explain", json={"record": typical}).json()
    assert (found["contributions"], found["base"]) == (nothing, found["prediction"])


def test_a_captured_prediction_is_explained(
    home: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(home, lambda c: c["fields"][0].update(personal=True))
    monkeypatch.setattr(candidate, "fetch", lambda number: home / "models/candidate")
    client = start()
    records = [RECORD, RECORD | {"size": 9.0}]
    headers = {"x-request-id": "r1"}
    answer = client.post("/predict", json={"records": records}, headers=headers).json()
    server(client).close()
    found = explain.by_request("r1", position=1)
    assert (found.version, found.masked) == (3, ["colour"])
    assert found.prediction == pytest.approx(answer["predictions"][1])
    assert found.contributions["size"] > 0 == found.contributions["colour"]
    with pytest.raises(MlopsError, match=r"No capture in .*dev holds record 2 of request r1"):
        explain.by_request("r1", position=2)


def test_one_of_the_keys_opens(start: Start) -> None:
    client = start(key="first, second", auth="api-key")
    body = {"records": [RECORD]}
    for headers in ({}, {"x-api-key": "third"}, {"x-api-key": ""}, {"x-api-key": "first,"}):
        refused = client.post("/predict", json=body, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "ApiKey"
        assert refused.headers["x-model-version"] == "3"
    for key in ("first", "second"):
        answer = client.post("/predict", json=body, headers={"x-api-key": key})
        assert answer.status_code == 200
    for path in ("/health", "/ready", "/metrics"):
        assert client.get(path).status_code == 200
    described = client.get("/openapi.json").json()
    assert described["paths"]["/predict"]["post"]["security"] == [{"APIKeyHeader": []}]


def test_a_machine_has_a_key_of_its_own(home: Path) -> None:
    made = auth.api_keys(Settings())
    assert auth.api_keys(Settings()) == made
    assert auth.KEY.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in auth.KEY.parent.glob("api*")] == ["api.key"]
    auth.KEY.unlink()
    assert auth.api_keys(Settings()) != made


def test_a_key_that_cannot_be_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MlopsError, match="MLOPS_API_KEYS is empty"):
        auth.api_keys(Settings(api_keys=" , "))  # type: ignore[arg-type]
    (home / "file").touch()
    monkeypatch.setattr(auth, "KEY", home / "file/api.key")
    with pytest.raises(MlopsError, match="set MLOPS_API_KEYS"):
        auth.api_keys(Settings())
    with pytest.raises(MlopsError, match=r"serving\.issuer or serving\.audience is empty"):
        auth.check(Settings(serving=Serving(auth="oidc")))


RSA, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def issuer() -> Iterator[str]:
    """An issuer of tokens on this machine."""
    keys = [
        RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"kid": "rsa", "use": "sig"},
        ECAlgorithm.to_jwk(EC.public_key(), as_dict=True) | {"kid": "ec", "use": "sig"},
    ]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = {"keys": keys} if self.path == "/keys" else {"jwks_uri": f"{address}/keys"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    asked: list[str] = []
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{listener.server_port}"
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield address
    listener.shutdown()
    listener.server_close()
    assert asked == ["/.well-known/openid-configuration", "/keys"]  # once, when first needed


def test_only_the_issuers_tokens_open(start: Start, issuer: str) -> None:
    client = start(auth="oidc", issuer=issuer, audience="flights")

    def status(key: Any, algorithm: str, kid: str, **changes: Any) -> int:
        claims = {"iss": issuer, "aud": "flights", "exp": time.time() + 600} | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode(claims, key, algorithm, headers={"kid": kid})
        headers = {"authorization": f"Bearer {token}"}
        answer = client.post("/predict", json={"records": [RECORD]}, headers=headers)
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
        return answer.status_code

    assert status(RSA, "RS256", "rsa") == status(EC, "ES256", "ec") == 200
    assert status(RSA, "RS256", "rsa", aud="others") == 401
    assert status(RSA, "RS256", "rsa", iss="https://others.example") == 401
    assert status(RSA, "RS256", "rsa", exp=time.time() - 600) == 401
    assert status(RSA, "RS256", "rsa", exp=None) == 401
    assert status(OTHER, "RS256", "rsa") == 401
    assert status(OTHER, "RS256", "unknown") == 401
    assert status(RSA, "RS512", "rsa") == 401
    assert status(None, "none", "rsa") == 401
    assert status("x" * 32, "HS256", "rsa") == 401
    for text in ("", "Bearer", "Bearer x.y.z", "Basic abc", b"Bearer \xff"):
        headers: Any = {"authorization": text}
        answer = client.post("/predict", json={"records": [RECORD]}, headers=headers)
        assert answer.status_code == 401
    assert client.get("/ready").status_code == 200


def test_an_issuer_that_is_away_is_no_refusal(start: Start) -> None:
    client = start(auth="oidc", issuer="http://127.0.0.1:9", audience="flights")
    headers = {"authorization": f"Bearer {jwt.encode({}, 'x' * 32)}"}
    answer = client.post("/predict", json={"records": [RECORD]}, headers=headers)
    assert answer.status_code == 503


class Planted:
    """Leaves a file behind when it is loaded."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("executed"),)


def test_nothing_but_onnx_is_opened(home: Path) -> None:
    folder = home / "models/candidate"
    planted = pickle.dumps(Planted())
    for name in ("model.pkl", "model.joblib", "model.skops"):
        alone = home / f"with {name}"
        alone.mkdir()
        (alone / "contract.json").write_bytes((folder / "contract.json").read_bytes())
        (alone / name).write_bytes(planted)
        for path in (alone, alone / name):
            with pytest.raises(MlopsError, match=rf"{name}.*: only ONNX is served"):
                create(path, "3", Settings())
        (alone / "model.onnx").write_bytes(planted)
        with pytest.raises(MlopsError, match="does not answer its own example"):
            create(alone, "3", Settings())
    assert not Path("executed").exists()
    pickle.loads(planted)  # noqa: S301
    assert Path("executed").exists()


def test_a_pattern_that_may_never_end_is_refused(home: Path, start: Start) -> None:
    edit(home, lambda c: c["fields"][0].update(choices=None, pattern="^(?=r)red$"))
    with pytest.raises(MlopsError, match=r"cannot be served: .*without look-around"):
        start()
    edit(home, lambda c: c["fields"][0].update(pattern="^r"))
    client = start()
    assert client.post("/predict", json={"records": [RECORD]}).status_code == 200
    refused = client.post("/predict", json={"records": [RECORD | {"colour": "blue"}]})
    assert "colour is 'blue': give a text matching ^r" in refused.text


def test_a_replaced_model_is_refused(home: Path) -> None:
    folder = home / "models/candidate"
    create(folder, "3", Settings()).close()
    for name, key in (("lineage.json", "digest"), ("gates.json", "model")):
        (folder / "lineage.json").unlink(missing_ok=True)
        (folder / name).write_text(json.dumps({key: "0" * 64}))
        with pytest.raises(MlopsError, match=f"{name} is about 0000.*: it was replaced"):
            create(folder, "3", Settings())


def test_versions_are_found_in_the_registry(
    home: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "open_registry", lambda settings: memory)
    facts = {"digest": candidate.sha256(home / "models/candidate/model.onnx"), "commit": "c"}
    for _ in range(2):
        memory.register(home / "models/candidate", facts | {"signature": "s"})
    memory.set_alias("champion-dev", 1)
    memory.set_alias("challenger", 2)
    for name, number in {"champion": 1, "challenger": 2, "2": 2}.items():
        folder, found = process.resolve(name)
        assert found == number
        assert (folder / "model.onnx").is_file()
    with pytest.raises(MlopsError, match="'best' is no version"):
        process.resolve("best")
    memory.names.clear()
    with pytest.raises(MlopsError, match="no champion-dev"):
        process.resolve("champion")
    with pytest.raises(MlopsError, match="Name the version"):
        process.serve("models/candidate", None, None, None)
