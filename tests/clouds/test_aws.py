"""What only AWS has: whose account it is, what its SDK says, what CloudWatch counts."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mlops.cloud import aws as cloud_aws
from mlops.cloud import open_cloud
from mlops.errors import MlopsError
from mlops.jobs.aws import open_compute
from mlops.jobs.base import Spec
from mlops.registry import open_registry
from mlops.release.targets import open_target
from mlops.release.traffic import Slots, Traffic

from clouds.aws_model import faults
from clouds.conftest import ENVIRONMENT

PROVIDERS = ["aws"]
FILE = f"environments/{ENVIRONMENT}.yaml"


@pytest.fixture(autouse=True)
def _no_session() -> None:
    """Let no test see the credentials of another."""
    cloud_aws._session.cache_clear()


def named(platform: Any, **changed: Any) -> Any:
    """Return the settings with other names."""
    settings = platform.settings()
    return settings.model_copy(update={"cloud": {**settings.cloud, **changed}})


def target(platform: Any) -> Any:
    """Return the endpoint, with the first version in blue."""
    made = open_target(ENVIRONMENT, platform.settings())
    made.poll = 0  # type: ignore[attr-defined]
    made.deploy("blue", 1, Path())
    return made


def test_what_costs_tells_whose_it_is(platform: Any) -> None:
    target(platform)
    sagemaker = platform.client("sagemaker")
    arns = [
        sagemaker.list_endpoints()["Endpoints"][0]["EndpointArn"],
        sagemaker.list_endpoint_configs()["EndpointConfigs"][0]["EndpointConfigArn"],
        sagemaker.list_models()["Models"][0]["ModelArn"],
    ]
    for arn in arns:
        found = sagemaker.list_tags(ResourceArn=arn)["Tags"]
        tags = {one["Key"]: one["Value"] for one in found}
        assert {"project": "flight-delays", "environment": ENVIRONMENT}.items() <= tags.items(), arn


def test_another_account_is_refused_by_name(platform: Any) -> None:
    with pytest.raises(MlopsError, match=f"account 123456789012.*{FILE}.*000000000000"):
        open_target(ENVIRONMENT, named(platform, account="000000000000"))
    assert platform.calls == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("account", "12"), ("region", "Ireland"), ("role", "flight-delays"), ("machine", "m5.large")],
)
def test_a_name_that_can_not_be_is_refused_with_its_key(
    platform: Any, key: str, value: str
) -> None:
    with pytest.raises(MlopsError, match=f"{FILE}: cloud.{key}"):
        open_cloud(named(platform, **{key: value}), ENVIRONMENT)


def test_without_credentials_it_says_how_to_get_some(
    platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(MlopsError, match=f"(?s)sso login.*123456789012.*{FILE}"):
        open_target(ENVIRONMENT, platform.settings())


def test_a_region_that_nobody_answers_in_is_named(
    platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(MlopsError, match=f"(?s)cloud.region \\(eu-west-1\\).*{FILE}"):
        open_target(ENVIRONMENT, platform.settings())


def test_a_bucket_that_is_not_there_is_named(platform: Any) -> None:
    store = open_cloud(named(platform, bucket="not-there"), ENVIRONMENT).store()
    with pytest.raises(MlopsError, match=f"cloud.bucket \\(not-there\\).*{FILE}"):
        store.read("journal")


def test_a_shadow_of_some_requests_is_refused_before_anything_is_made(platform: Any) -> None:
    made = target(platform)
    made.deploy("green", 2, Path())
    platform.calls.clear()
    with pytest.raises(MlopsError, match=f"{FILE}: release.mirror: 30 .* Set 100"):
        made.route(Traffic(mirror=30), Slots())
    assert platform.calls == []


def test_a_shadow_can_not_be_asked(platform: Any) -> None:
    made = target(platform)
    made.deploy("green", 2, Path())
    made.route(Traffic(mirror=100), Slots())
    with pytest.raises(MlopsError, match="green slot is mirrored to"):
        made.ask("green", "/ready")
    assert made.ask("blue", "/ready")[1]["version"] == "1"


def test_machines_that_were_added_stay_when_a_slot_comes_and_goes(platform: Any) -> None:
    made = target(platform)
    sagemaker = platform.client("sagemaker")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=made.name,
        DesiredWeightsAndCapacities=[{"VariantName": "blue", "DesiredInstanceCount": 3}],
    )
    made.deploy("green", 2, Path())
    found = sagemaker.describe_endpoint(EndpointName=made.name)["ProductionVariants"]
    assert {one["VariantName"]: one["CurrentInstanceCount"] for one in found} == {
        "blue": 3,
        "green": 1,
    }


def test_cloudwatch_counts_whole_minutes_since_the_mark(platform: Any) -> None:
    """The minute of the mark has requests from before it."""
    made = target(platform)
    this = datetime.now(UTC).replace(second=0, microsecond=0)
    for minutes, requests, errors in ((-3, 1000, 500), (-2, 40, 4), (-1, 60, 6)):
        platform.client("cloudwatch").put_metric_data(
            Namespace="AWS/SageMaker",
            MetricData=[
                {
                    "MetricName": name,
                    "Value": value,
                    "Timestamp": this + timedelta(minutes=minutes, seconds=40),
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": made.name},
                        {"Name": "VariantName", "Value": "blue"},
                    ],
                }
                for name, value in (("Invocations", requests), ("Invocation5XXErrors", errors))
            ],
        )
    since = this - timedelta(minutes=2, seconds=30)
    assert made._counted("blue", since.timestamp()) == (100, 10)
    assert made._counted("green", since.timestamp()) == (0, 0)
    assert made._counted("blue", datetime.now(UTC).timestamp()) == (0, 0)


def test_facts_that_do_not_fit_are_kept_and_the_others_shown(platform: Any, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    facts = {"commit": "c", "gate": "passed", "odd": "<a>", "long": "x" * 300}
    facts |= {f"data.{number}": "m" for number in range(60)}
    registry = open_registry(platform.settings())
    number = registry.register(tmp_path / "model", facts).number
    registry.annotate(number, {"tag.compliance.by": "A B <a@example.com>", "released.prod": "now"})
    [version] = registry.list()
    assert version.tags == {
        **facts,
        "tag.compliance.by": "A B <a@example.com>",
        "released.prod": "now",
    }
    shown = platform.client("sagemaker").describe_model_package(
        ModelPackageName=registry._package(number)["ModelPackageArn"]  # type: ignore[attr-defined]
    )
    assert shown["ModelApprovalStatus"] == "Approved"
    assert shown["MetadataProperties"]["CommitId"] == "c"
    assert shown["CustomerMetadataProperties"].keys() >= {"commit", "released.prod", "data.0"}
    assert not {"odd", "long", "tag.compliance.by"} & shown["CustomerMetadataProperties"].keys()


def test_a_package_that_is_refused_leaves_no_files(platform: Any, tmp_path: Path) -> None:
    platform.fail("CreateModelPackage", 1, "quota")
    with pytest.raises(MlopsError, match="ResourceLimitExceeded"):
        open_registry(platform.settings()).register(tmp_path, {"commit": "c", "gate": "failed"})
    assert platform.left() == []


def test_a_spot_job_says_how_long_it_may_wait(platform: Any) -> None:
    compute = open_compute(platform.settings(), ENVIRONMENT)
    compute.submit(Spec("spot", ["true"], {}, True, 600, {}))
    found = platform.client("sagemaker").describe_training_job(TrainingJobName="spot")
    assert found["EnableManagedSpotTraining"]
    assert found["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 600,
        "MaxWaitTimeInSeconds": 600,
    }


def test_the_platform_refuses_what_the_service_model_refuses(platform: Any) -> None:
    request = {"ModelName": "a_b", "ExecutionRoleArn": "role", "Wrong": 1}
    found = " ".join(faults("sagemaker", "CreateModel", request))
    for fault in ("ModelName: 'a_b' does not match", "ExecutionRoleArn", "Wrong is unknown"):
        assert fault in found, json.dumps(found)
