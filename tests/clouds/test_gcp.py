"""What only Google Cloud has: its names and logins, its logs and counts, the smoke endpoint."""

from pathlib import Path
from typing import Any

import pytest
from mlops.cloud import gcp as cloud
from mlops.cloud import open_store
from mlops.cloud.base import CloudError
from mlops.errors import MlopsError
from mlops.registry import open_registry
from mlops.release.targets import open_target
from mlops.release.traffic import CHAMPION, Slots, Traffic
from mlops.settings import Settings

from clouds.conftest import ENVIRONMENT

PROVIDERS = ("gcp",)
SMOKE = "flight-delays-prod-smoke"


def opened(settings: Settings) -> Any:
    target: Any = open_target(ENVIRONMENT, settings)
    target.poll = 0
    return target


def changed(platform: Any, **names: str) -> Settings:
    settings: Settings = platform.settings()
    return settings.model_copy(update={"cloud": {**settings.cloud, **names}})


@pytest.fixture
def standing(platform: Any) -> Any:
    """Return a target whose champion is version 1, and version 2 beside it."""
    target = opened(platform.settings())
    target.deploy("blue", 1, Path())
    target.route(CHAMPION, Slots())
    target.deploy("green", 2, Path())
    platform.calls.clear()
    return target


WRONG = {
    "project": ("someone-elses", "Give whoever asks a role"),
    "region": ("mars-west1", "does it exist"),
    "bucket": ("nobodys", "does it exist"),
    "machine": ("n9-nothing-1", "Correct it"),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_name_is_said_with_its_file_and_the_fix(platform: Any, key: str) -> None:
    value, fix = WRONG[key]
    settings = changed(platform, **{key: value})
    target, store = opened(settings), open_store(settings, ENVIRONMENT)
    with pytest.raises(MlopsError) as refused:
        store.read("a") if key == "bucket" else target.deploy("blue", 1, Path())
    said = str(refused.value)
    assert f"environments/{ENVIRONMENT}.yaml: cloud.{key} is {value!r}." in said
    assert fix in said
    assert platform.left() == []


@pytest.mark.parametrize(("key", "value"), [("project", "123"), ("region", "Europe"), ("new", "x")])
def test_a_name_of_the_wrong_form_is_refused_before_anything_is_asked(
    platform: Any, key: str, value: str
) -> None:
    with pytest.raises(MlopsError, match=rf"environments/prod.yaml: cloud\.{key}: "):
        opened(changed(platform, **{key: value}))


def test_without_a_login_it_says_how_to_get_one(
    platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    with pytest.raises(CloudError, match="gcloud auth application-default login"):
        opened(platform.settings()).state()


def test_a_login_that_has_run_out_is_said(platform: Any) -> None:
    (platform.folder / "identity").rename(platform.folder / "away")
    try:
        with pytest.raises(CloudError, match=r"Log in again|logged in"):
            opened(platform.settings()).state()
    finally:
        (platform.folder / "away").rename(platform.folder / "identity")


def test_a_platform_that_is_not_there_is_named(platform: Any) -> None:
    nowhere = "http://127.0.0.1:9"
    with pytest.raises(CloudError, match=f"{nowhere} does not answer"):
        open_store(changed(platform, endpoint=nowhere), ENVIRONMENT).read("a")


def test_a_slot_without_traffic_is_asked_on_an_endpoint_that_ends_with_it(
    platform: Any, standing: Any
) -> None:
    asked = [standing.ask("green", "/ready")[1]["version"] for _ in range(3)]
    assert asked == ["2"] * 3
    assert platform.calls == ["CreateEndpoint", "DeployModel"]
    assert any(one.endswith(SMOKE) for one in platform.left())
    standing.route(Traffic(champion=80, challenger=20), Slots())
    assert not any(one.endswith(SMOKE) for one in platform.left())


def test_a_slot_with_a_share_is_asked_until_it_answers(platform: Any, standing: Any) -> None:
    standing.route(Traffic(champion=80, challenger=20), Slots())
    platform.calls.clear()
    assert [standing.ask("green", "/ready")[1]["version"] for _ in range(3)] == ["2"] * 3
    assert platform.calls == []


def test_a_log_of_many_pages_is_read_whole(platform: Any, standing: Any) -> None:
    for number in range(250):
        platform._log("flight-delays-prod", f"line {number}", {"deployed_model_id": "7"})
    found = [*standing.cloud.lines('labels.deployed_model_id="7" AND resource.type="x"', 0.0)]
    assert found == []
    mine = f'{standing._mine("flight-delays-prod")} AND labels.deployed_model_id="7"'
    assert [*standing.cloud.lines(mine, 0.0)] == [f"line {number}" for number in range(250)]


def test_logs_are_read_no_oftener_than_they_are_polled(platform: Any, standing: Any) -> None:
    standing.poll = 600
    mark = standing.mark()
    platform.send(10)
    assert standing.observe(mark)["blue"].requests == 10
    platform.send(10)
    assert standing.observe(mark)["blue"].requests == 10
    standing.poll = 0
    assert standing.observe(mark)["blue"].requests == 20


def test_the_platforms_counts_are_of_whole_spans_since_the_mark(
    platform: Any, standing: Any
) -> None:
    platform.servers.scripts[1].errors = 0.2
    since = standing.mark().time
    platform.send(50)
    assert standing._counted("blue", since) == (50, 10)
    platform.before = 60.0
    assert standing._counted("blue", since) == (0, 0)


@pytest.mark.parametrize("version", [2, None])
def test_a_deployment_that_was_left_under_way_is_waited_for(
    platform: Any, monkeypatch: pytest.MonkeyPatch, version: int | None
) -> None:
    opened(platform.settings()).deploy("blue", 1, Path())
    before = platform.left()
    killed = opened(platform.settings())
    wait = type(killed.cloud).wait
    monkeypatch.setattr(type(killed.cloud), "wait", _killed)
    killed._model = lambda *_: f"{killed.cloud.parent}/models/flight-delays-prod-blue-1"
    platform.fail("DeployModel", 1, "slow")
    with pytest.raises(KeyboardInterrupt):
        killed.deploy("green", 2, Path())
    monkeypatch.setattr(type(killed.cloud), "wait", wait)
    after = opened(platform.settings())
    platform.calls.clear()
    if version:
        after.deploy("green", 2, Path())
        assert platform.calls == []
    else:
        after._clear("green")
        for name in [*platform.operations] * 4:
            platform._look(name)
        assert sorted(platform.left()) == sorted(before)


def test_two_who_note_facts_at_once_lose_nothing(platform: Any, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.onnx").write_text("1", encoding="utf-8")
    one, other = (open_registry(platform.settings()) for _ in range(2))
    one.register(tmp_path / "model", {"digest": "1", "commit": "2"})
    store: Any = one.store
    write = store.write

    def late(*given: Any) -> Any:
        store.write = write
        other.annotate(1, {"theirs": "b"})
        return write(*given)

    store.write = late
    one.annotate(1, {"ours": "a"})
    tags = one.list()[0].tags
    assert (tags["ours"], tags["theirs"], tags["digest"]) == ("a", "b", "1")


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_an_operation_that_takes_too_long_is_cancelled(
    platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.release.targets.gcp.READY_SECONDS", 0.01)
    monkeypatch.setattr("clouds.gcp.LOOKS", 10**9)
    platform.fail("DeployModel", 1, "slow")
    with pytest.raises(MlopsError, match="has not finished"):
        opened(platform.settings()).deploy("blue", 1, Path())
    assert platform.left() == []
    assert all(operation.done for operation, _, _ in platform.operations.values())


def test_retries_stop_at_a_quota_of_machines(platform: Any) -> None:
    assert cloud._throttled(_error("Quota exceeded for quota metric 'Requests'"))
    assert not cloud._throttled(_error("The following quotas are exceeded: CPUs"))


def _error(message: str) -> Exception:
    from google.api_core.exceptions import TooManyRequests

    error: Exception = TooManyRequests(message)
    return error
