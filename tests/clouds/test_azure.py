"""What is Azure's own: its refusals, its metrics, its jobs, and what its fake lets through."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlops.cloud.base import CloudError
from mlops.errors import MlopsError
from mlops.jobs.azure import open_compute
from mlops.jobs.base import Spec
from mlops.registry.azureml import open_registry
from mlops.release.targets.azure import open_target
from mlops.release.traffic import CHAMPION, Slots, Traffic
from mlops.settings import Settings

from clouds.conftest import ENVIRONMENT

PROVIDERS = ["azure"]


def named(platform: Any, **names: Any) -> Settings:
    settings: Settings = platform.settings()
    return settings.model_copy(update={"cloud": {**settings.cloud, **names}})


def standing(platform: Any, **names: Any) -> Any:
    """Return a target with version 1 in blue, answering."""
    target = open_target(ENVIRONMENT, named(platform, **names))
    target.poll = 0  # type: ignore[attr-defined]
    target.deploy("blue", 1, Path())
    target.route(CHAMPION, Slots())
    return target


WRONG = {
    "subscription": "00000000-0000-0000-0000-00000000dead",
    "resource_group": "another-group",
    "workspace": "another-workspace",
}


@pytest.mark.parametrize(("key", "value"), WRONG.items())
def test_a_wrong_name_is_named_with_its_file(platform: Any, key: str, value: str) -> None:
    settings = named(platform, **{key: value})
    acts: list[Callable[[], Any]] = [
        lambda: open_target(ENVIRONMENT, settings).deploy("blue", 1, Path()),
        lambda: open_registry(settings).list(),
        lambda: open_compute(settings, ENVIRONMENT).submit(Spec("a", ["true"], {}, False, 60, {})),
    ]
    for act in acts:
        with pytest.raises(CloudError, match=f"prod.yaml, cloud.{key}: '{value}': `az ") as refused:
            act()
        assert "\n" not in str(refused.value)
    assert platform.calls == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("subscription", "my subscription"),
        ("container", "https://examplemlops.blob.core.windows.net"),
        ("instances", 0),
        ("tenant", "x"),
    ],
)
def test_a_malformed_name_is_refused_before_any_call(platform: Any, key: str, value: Any) -> None:
    with pytest.raises(MlopsError, match=f"environments/prod.yaml: cloud.{key}"):
        open_target(ENVIRONMENT, named(platform, **{key: value}))


def test_a_container_that_is_not_there_is_named(platform: Any) -> None:
    from mlops.cloud import open_store

    url = "https://examplemlops.blob.core.windows.net/none"
    store = open_store(named(platform, container=url), ENVIRONMENT)
    for act in (lambda: store.read("a"), lambda: store.write("a", b""), lambda: store.delete("a")):
        with pytest.raises(CloudError, match=f"cloud.container: '{url}': create it"):
            act()


def test_an_endpoint_name_of_its_own_is_heeded(platform: Any) -> None:
    standing(platform, endpoint="ours")
    assert platform.left() == ["onlineEndpoints/ours", "onlineEndpoints/ours: blue"]


def test_a_deployment_is_what_the_settings_say(platform: Any) -> None:
    standing(platform, machine="Standard_F4s_v2", instances=3)
    [one] = [one for name, one in platform.resources.items() if "/deployments/" in name]
    assert (one["properties"]["instanceType"], one["sku"]["capacity"]) == ("Standard_F4s_v2", 3)
    assert one["tags"] == {"version": "1"}
    settings = one["properties"]["requestSettings"]
    assert settings == {
        "maxConcurrentRequestsPerInstance": 100,
        "requestTimeout": "PT10S",
        **{key: value for key, value in settings.items() if key == "maxQueueWait"},
    }
    [made] = [one for name, one in platform.resources.items() if name.startswith("environments/")]
    assert made["properties"]["image"] == "example.azurecr.io/flight-delays:1"
    assert made["properties"]["inferenceConfig"] == {
        "livenessRoute": {"path": "/health", "port": 8080},
        "readinessRoute": {"path": "/ready", "port": 8080},
        "scoringRoute": {"path": "/invocations", "port": 8080},
    }


def test_more_than_half_is_not_mirrored(platform: Any) -> None:
    target = open_target(ENVIRONMENT, platform.settings())
    with pytest.raises(MlopsError, match=r"release.mirror is 51.*50 or less.*prod.yaml"):
        target.route(Traffic(mirror=51), Slots())
    assert platform.calls == []


def test_the_platforms_own_counts_are_read(platform: Any) -> None:
    target = standing(platform)
    platform.servers.scripts[1].errors = 0.25
    platform.send(100)
    for _ in range(5):  # the callers' fault, and no error of the server's
        assert target.ask(None, "/predict", {"records": []})[0] == 422
    assert target._counted("blue", time.time()) == (0, 0)  # this minute is not over
    assert target._counted("blue", time.time() - 120) == (105, 25)
    assert target._counted("green", time.time() - 120) == (0, 0)
    platform.logs.clear()  # the servers tell nothing
    seen = target.observe(target.mark()._replace(time=time.time() - 120))["blue"]
    assert (seen.requests, seen.errors) == (105, 25)


def test_what_a_server_refuses_is_its_own_status(platform: Any) -> None:
    target = standing(platform)
    status, answer = target.ask(None, "/predict", {"records": [{"x": "?"}]})
    assert (status, answer["detail"][0]["loc"][-1]) == (422, "x")
    assert target.ask("blue", "/feedback", {"request_id": "r", "version": "1", "outcome": 1}) == (
        202,
        {"request_id": "r"},
    )


def test_what_is_not_in_the_description_is_refused(platform: Any) -> None:
    target = standing(platform)
    cloud = target.cloud
    url = (
        f"https://management.azure.com/subscriptions/{cloud.subscription}/resourceGroups/"
        f"{cloud.resource_group}/providers/Microsoft.MachineLearningServices/workspaces/"
        f"{cloud.workspace}/onlineEndpoints/{target.name}?api-version=2023-04-01-preview"
    )
    import requests

    sent = {"location": "westeurope", "properties": {"authMode": "AADToken"}}
    for properties, fault in (
        ({"traffik": {}}, "traffik: unknown"),
        ({"authMode": None}, "authMode: missing"),
        ({"traffic": {"blue": "100"}}, "no int"),
        ({"traffic": {"green": 100}}, "no deployment green"),
        ({"traffic": {"blue": 90}}, "0 or 100"),
        ({"traffic": {}, "mirrorTraffic": {"blue": 60}}, "50 % at most"),
    ):
        body = {**sent, "properties": {**sent["properties"], **properties}}  # type: ignore[dict-item]
        came = requests.put(url, json=body, timeout=10)  # type: ignore[arg-type]
        assert (came.status_code, fault in came.text) == (400, True), came.text


def test_a_job_asks_for_what_its_spec_says(platform: Any) -> None:
    spec = Spec("train-1", ["python", "-c", "print(1)"], {"A": "b"}, True, 600, {"kind": "train"})
    open_compute(platform.settings(), ENVIRONMENT).submit(spec)
    sent = platform.resources["jobs/train-1"]["properties"]
    assert sent["queueSettings"] == {"jobTier": "Spot"}
    assert sent["resources"]["instanceType"] == "Standard_DS3_v2"
    assert sent["limits"]["timeout"] == "PT10M"
    assert (sent["tags"], sent["environmentVariables"]) == ({"kind": "train"}, {"A": "b"})
    assert sent["identity"] == {"identityType": "Managed"}


def test_a_cluster_is_used_where_one_is_named(platform: Any) -> None:
    compute = open_compute(named(platform, compute="cpu"), ENVIRONMENT)
    compute.submit(Spec("train-2", ["true"], {}, True, 600, {}))
    sent = platform.resources["jobs/train-2"]["properties"]
    assert sent["computeId"].endswith("/computes/cpu")
    assert not sent.get("queueSettings")
