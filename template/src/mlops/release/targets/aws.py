"""A real-time endpoint of SageMaker, with the slots as its variants.

The variants and whose model each has stand in the endpoint's configuration, which can't be edited:
another one is made and swapped in, on new machines, while the old ones answer. Only weights change
in place. A variant that is mirrored to is a shadow variant, in a configuration of its own.
"""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from ... import project
from ...cloud import open_cloud
from ...cloud.aws import Cloud, MissingError
from ...cloud.base import CloudError
from ...errors import MlopsError
from ...settings import Settings
from ..traffic import CHAMPION, Slot, Slots, Traffic
from .base import DeployError, State, Target
from .managed import READY_SECONDS, ManagedTarget

UNDER_WAY = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
LOGS = "/aws/sagemaker/Endpoints/"
MINUTE = 60  # seconds that one of the platform's counts covers
WHOSE, STICKY = "mlops:champion", "mlops:sticky"  # tags of the endpoint
START_SECONDS = 600  # until a container answers /ping


class Standing(NamedTuple):
    """What the endpoint is."""

    status: str
    failure: str
    config: str
    versions: dict[Slot, int]
    weights: dict[Slot, float]  # of the slots that answer
    shadow: Slot | None
    machines: dict[Slot, int]

    def gets(self, slot: Slot, champion: Slot) -> bool:
        """Tell whether a slot answers callers; one that is alone and not the champion may go."""
        alone = len(self.versions) == 1
        return slot == champion if alone else self.weights.get(slot, 0.0) > 0


class SagemakerTarget(ManagedTarget):
    """One environment's endpoint; see :class:`~.base.Target`."""

    def __init__(self, environment: str, settings: Settings) -> None:
        super().__init__(environment, settings)
        self.cloud: Cloud = open_cloud(settings, environment)
        self.name = f"{project.NAME}-{environment}"
        self.tags = {"project": project.NAME, "environment": environment}  # costs count by them
        self.sagemaker = self.cloud.client("sagemaker")
        self.runtime = self.cloud.client("sagemaker-runtime")
        self.logs = self.cloud.client("logs")
        self.metrics = self.cloud.client("cloudwatch")

    def refuse(self, traffic: Traffic) -> None:
        """Refuse to copy a part of the requests."""
        if traffic.mirror not in (0, 100):
            raise MlopsError(
                f"environments/{self.environment}.yaml: release.mirror: {traffic.mirror} can't be "
                "had on SageMaker, whose shadow variants get a copy of every request. Set 100."
            )

    def deploy(self, slot: Slot, version: int, folder: Path) -> None:
        """Add the slot's variant, or replace it, and return once it is in service.

        Raises:
            DeployError: it did not come up; the endpoint is as it was before.
            MlopsError: nothing was changed: the slot answers callers with another model.
        """
        now = self._settled()
        if now and now.status == "Failed":  # it never came up
            self._tidy()
            now = None
        if now and now.versions.get(slot) == version:
            self._tidy()  # after one that was interrupted
            return
        versions = {**now.versions} if now else {}
        if now and slot in versions and now.gets(slot, self._champion().champion):
            raise self._answers(slot)
        versions[slot] = version
        self._apply(versions, {one: 0.0 if one == slot else 100.0 for one in versions})

    def route(self, traffic: Traffic, slots: Slots, lease: float | None = None) -> None:
        """Set the weights, or let a variant become a shadow or cease to be one.

        The platform knows no lease, and no caller that always meets the same model.

        Raises:
            MlopsError: the challenger's slot is empty, or it is mirrored to in part.
        """
        self.refuse(traffic)
        now = self._settled()
        if now is None or (traffic != CHAMPION and slots.challenger not in now.versions):
            raise MlopsError(f"{traffic}: there is nothing in the {slots.challenger} slot.")
        shares = {slots.champion: traffic.champion, slots.challenger: traffic.challenger}
        weights = {slot: float(shares[slot]) for slot in now.versions}
        shadow = slots.challenger if traffic.mirror else None
        if shadow != now.shadow:
            self._apply(now.versions, weights, shadow)
        elif not shadow and len(weights) > 1 and weights != now.weights:
            self.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName=self.name,
                DesiredWeightsAndCapacities=[
                    {"VariantName": slot, "DesiredWeight": weight}
                    for slot, weight in weights.items()
                ],
            )
            now = self._settled()
            if now is None or now.weights != weights:
                raise MlopsError(f"{self.name} has not taken up the traffic {traffic}.")
        self._tag(self.tags | {WHOSE: slots.champion, STICKY: str(traffic.sticky).lower()})

    def remove(self, slot: Slot) -> None:
        """Take a variant out; with the last one goes the endpoint.

        Raises:
            MlopsError: the slot gets traffic.
        """
        now = self._settled()
        if now is None or slot not in now.versions:
            self._tidy()  # after one that was interrupted
            return
        if now.gets(slot, self._champion().champion):
            raise self._answers(slot)
        left = {one: version for one, version in now.versions.items() if one != slot}
        if left:
            self._apply(left, dict.fromkeys(left, 100.0))
        else:
            self.stop()

    def state(self) -> State:
        """Return what stands now."""
        now = self._standing()
        if now is None:
            return State()
        slots, tags = self._champion(), self._tags()
        total = sum(now.weights.values())
        share = round(100 * now.weights.get(slots.challenger, 0.0) / total) if total else 0
        return State(
            versions=now.versions,
            ready={
                slot: now.status in ("InService", "Updating") and now.machines.get(slot, 0) > 0
                for slot in now.versions
            },
            slots=slots,
            traffic=Traffic(
                champion=100 - share,
                challenger=share,
                mirror=100 if now.shadow else 0,
                sticky=tags.get(STICKY) == "true",
            ),
            address=f"{self.runtime.meta.endpoint_url}/endpoints/{self.name}/invocations",
        )

    def stop(self) -> None:
        """Delete the endpoint, its configurations and its models; the logs stay."""
        if self._settled():
            self.sagemaker.delete_endpoint(EndpointName=self.name)
            self._settled()
        self._tidy()

    def _apply(
        self,
        versions: Mapping[Slot, int],
        weights: Mapping[Slot, float],
        shadow: Slot | None = None,
    ) -> None:
        """Let the endpoint have these variants; what it no longer needs, or what failed, goes."""
        began, before = time.time(), self._standing()
        new = {slot: v for slot, v in versions.items() if before and before.versions.get(slot) != v}
        try:
            for version in versions.values():
                self._model(version)
            config = self._config(versions, weights, shadow)
            if before is None:
                self.sagemaker.create_endpoint(
                    EndpointName=self.name,
                    EndpointConfigName=config,
                    Tags=_tags(self.tags | {WHOSE: Slots().champion, STICKY: "false"}),
                )
            else:
                self.sagemaker.update_endpoint(
                    EndpointName=self.name,
                    EndpointConfigName=config,
                    RetainAllVariantProperties=True,  # machines that were added since
                    ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
                )
            now = self._settled()
            if now is None or now.status != "InService" or now.config != config:
                raise DeployError(self._why(now, new or versions, began))
        except MlopsError:
            with contextlib.suppress(CloudError):  # the next call does it
                self._tidy()
            raise
        self._tidy()

    def _model(self, version: int) -> None:
        """See that there is a version's model: its image, and what it is started with."""
        name = f"{self.name}-v{version}"
        try:
            self.sagemaker.describe_model(ModelName=name)
        except MissingError:
            self.sagemaker.create_model(
                ModelName=name,
                ExecutionRoleArn=self.cloud.role,
                PrimaryContainer={
                    "Image": f"{self.cloud.image}:{version}",
                    "Environment": self._variables(version),
                },
                Tags=_tags(self.tags),
            )

    def _config(
        self, versions: Mapping[Slot, int], weights: Mapping[Slot, float], shadow: Slot | None
    ) -> str:
        """See that there is a configuration, and return its name, which says what is in it."""
        # A shadow of the champion's weight gets a copy of every request.
        alike = shadow is not None or len(versions) == 1
        variants: dict[str, list[dict[str, Any]]] = {}
        for slot, version in versions.items():
            kind = "ShadowProductionVariants" if slot == shadow else "ProductionVariants"
            variants.setdefault(kind, []).append(
                {
                    "VariantName": slot,
                    "ModelName": f"{self.name}-v{version}",
                    "InstanceType": self.cloud.machine,
                    "InitialInstanceCount": self.cloud.instances,
                    "InitialVariantWeight": 100.0 if alike else weights[slot],
                    "ContainerStartupHealthCheckTimeoutInSeconds": START_SECONDS,
                }
            )
        content = json.dumps(variants, sort_keys=True).encode()
        name = f"{self.name}-{hashlib.sha256(content).hexdigest()[:12]}"
        try:
            self.sagemaker.describe_endpoint_config(EndpointConfigName=name)
        except MissingError:
            self.sagemaker.create_endpoint_config(
                EndpointConfigName=name, **variants, Tags=_tags(self.tags)
            )
        return name

    def _tidy(self) -> None:
        """Delete the endpoint if it never came up, and configurations and models not in use."""
        now = self._standing()
        if now and now.status == "Failed":
            self.sagemaker.delete_endpoint(EndpointName=self.name)
            now = self._settled()
        if now and now.status in UNDER_WAY:
            return
        used = {f"{self.name}-v{version}" for version in now.versions.values()} if now else set()
        for name in self._own("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"):
            if now is None or name != now.config:
                self.sagemaker.delete_endpoint_config(EndpointConfigName=name)
        for name in self._own("list_models", "Models", "ModelName"):
            if name not in used:
                self.sagemaker.delete_model(ModelName=name)

    def _own(self, call: str, key: str, field: str) -> list[str]:
        """Return the names of this endpoint's configurations or models."""
        mine = re.compile(rf"{re.escape(self.name)}-([0-9a-f]{{12}}|v\d+)")
        found = self.sagemaker.pages(call, key, NameContains=self.name)
        return [one[field] for one in found if mine.fullmatch(one[field])]

    def _standing(self) -> Standing | None:
        """Return what the endpoint is now; None if there is none."""
        try:
            found = self.sagemaker.describe_endpoint(EndpointName=self.name)
            config = self.sagemaker.describe_endpoint_config(
                EndpointConfigName=found["EndpointConfigName"]
            )
        except MissingError:
            return None
        live = {one["VariantName"]: one for one in found.get("ProductionVariants", [])}
        shadows = [one["VariantName"] for one in config.get("ShadowProductionVariants", [])]
        every = config["ProductionVariants"] + config.get("ShadowProductionVariants", [])
        counts = [*live.values(), *found.get("ShadowProductionVariants", [])]
        return Standing(
            status=found["EndpointStatus"],
            failure=found.get("FailureReason", ""),
            config=found["EndpointConfigName"],
            versions={one["VariantName"]: int(one["ModelName"].split("-v")[-1]) for one in every},
            weights={
                one["VariantName"]: live.get(one["VariantName"], {}).get(
                    "CurrentWeight", one["InitialVariantWeight"]
                )
                for one in config["ProductionVariants"]
            },
            shadow=shadows[0] if shadows else None,
            machines={one["VariantName"]: one.get("CurrentInstanceCount", 0) for one in counts},
        )

    def _settled(self) -> Standing | None:
        """Return what the endpoint is once nothing is under way; raise if that takes too long."""
        end = time.monotonic() + READY_SECONDS
        while True:
            now = self._standing()
            if now is None or now.status not in UNDER_WAY:
                return now
            if time.monotonic() > end:
                raise DeployError(f"{self.name} is {now.status} for {READY_SECONDS:g} s already.")
            time.sleep(self.poll)

    def _why(self, now: Standing | None, new: Mapping[Slot, int], since: float) -> str:
        """Return why the endpoint does not have what it was to have."""
        what = ", ".join(f"{slot} (version {version})" for slot, version in new.items())
        reason = (now.failure if now else "") or "SageMaker has gone back to what stood before"
        lines = [line for slot in new for line in self._printed(slot, since)]
        told = [line for line in lines if not line.startswith('{"figures"')]
        return "\n".join([f"{self.name}, {what}: {reason}. Its log ends:", *told[-5:]])

    def _champion(self) -> Slots:
        return Slots.model_validate({"champion": self._tags().get(WHOSE, Slots().champion)})

    def _tags(self) -> dict[str, str]:
        arn = self.cloud.arn("endpoint", self.name)
        found = self.sagemaker.pages("list_tags", "Tags", ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for tag in found}

    def _tag(self, tags: dict[str, str]) -> None:
        if not tags.items() <= self._tags().items():
            self.sagemaker.add_tags(
                ResourceArn=self.cloud.arn("endpoint", self.name), Tags=_tags(tags)
            )

    def _answers(self, slot: Slot) -> MlopsError:
        return MlopsError(
            f"The {slot} slot of {self.environment} answers callers: give its traffic to the other "
            "slot first."
        )

    def _slots(self) -> list[Slot]:
        now = self._standing()
        return [*now.versions] if now else []

    def _invoke(self, slot: Slot | None, body: Any) -> tuple[int, dict[str, Any]]:
        """Send JSON; what a server refuses comes back in an error of the platform's."""
        to = {"TargetVariant": slot} if slot else {}
        try:
            answer = self.runtime.invoke_endpoint(
                EndpointName=self.name,
                Body=json.dumps(body).encode(),
                ContentType="application/json",
                **to,
            )
            status, content = 200, answer["Body"].read()
        except CloudError as error:
            told = getattr(error.__cause__, "response", {})
            if "OriginalStatusCode" not in told:
                raise self._unasked(slot) or error from error
            status, content = told["OriginalStatusCode"], told["OriginalMessage"]
        try:
            return status, json.loads(content)
        except ValueError as error:
            raise MlopsError(f"{self.name}: not JSON ({content[:200]!r}).") from error

    def _unasked(self, slot: Slot | None) -> MlopsError | None:
        """Return why a slot can't be asked, if it is for what it is."""
        now = self._standing()
        if now is None:
            return MlopsError(f"Nothing runs in {self.environment}: `mlops release`.")
        if slot and slot == now.shadow:
            return MlopsError(f"The {slot} slot is mirrored to: SageMaker lets nobody ask it.")
        if slot and slot not in now.versions:
            return MlopsError(f"The {slot} slot of {self.environment} is empty.")
        return None

    def _lines(self, slot: Slot, since: float) -> Iterator[str]:
        yield from self._printed(slot, since, "figures")

    def _printed(self, slot: str, since: float, word: str = "") -> Iterator[str]:
        """Yield the lines of a slot's servers that have a word."""
        pattern = {"filterPattern": word} if word else {}
        try:
            for event in self.logs.pages(
                "filter_log_events",
                "events",
                logGroupName=LOGS + self.name,
                logStreamNamePrefix=f"{slot}/",
                startTime=int(since * 1000),
                **pattern,
            ):
                yield event["message"]
        except MissingError:
            return  # nothing has been printed yet

    def _counted(self, slot: Slot, since: float) -> tuple[int, int]:
        """Return what CloudWatch counted in the whole minutes since then."""
        start = datetime.fromtimestamp(-(-since // MINUTE) * MINUTE, UTC)
        if start >= datetime.now(UTC):
            return 0, 0
        names = ("Invocations", "Invocation5XXErrors")
        dimensions = {"EndpointName": self.name, "VariantName": slot}
        found = self.metrics.get_metric_data(
            StartTime=start,
            EndTime=datetime.now(UTC) + timedelta(seconds=MINUTE),
            MetricDataQueries=[
                {
                    "Id": name.lower(),
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/SageMaker",
                            "MetricName": name,
                            "Dimensions": [
                                {"Name": key, "Value": value} for key, value in dimensions.items()
                            ],
                        },
                        "Period": MINUTE,
                        "Stat": "Sum",
                    },
                }
                for name in names
            ],
        )
        sums = {one["Id"]: int(sum(one["Values"])) for one in found["MetricDataResults"]}
        return sums.get("invocations", 0), sums.get("invocation5xxerrors", 0)


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def open_target(environment: str, settings: Settings) -> Target:
    """Return the environment's endpoint."""
    return SagemakerTarget(environment, settings)
