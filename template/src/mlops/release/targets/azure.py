"""Azure ML's managed online endpoints: one endpoint, its deployments blue and green.

The endpoint's tag ``champion`` names the champion's slot, a deployment's tag ``version`` what is in
it. Azure mirrors to one deployment, and no more than half of the requests; it knows no callers, so
an A/B test is split by request.
"""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout, suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import project
from ...cloud.azure import QUOTA, Cloud
from ...cloud.base import CloudError
from ...errors import MlopsError
from ...settings import Settings
from ..traffic import CHAMPION, Slot, Slots, Traffic
from .base import DeployError, State, Target
from .managed import READY_SECONDS, ManagedTarget

if TYPE_CHECKING:
    from azure.ai.ml.entities import OnlineDeployment, OnlineEndpoint
    from azure.core.credentials import AccessToken

PORT = 8080
SCOPE = "https://ml.azure.com/.default"  # of the tokens that callers send
MARGIN = 300  # seconds that a token must still be good for
MIRROR = 50  # percent: what the platform copies at most
CONCURRENT = 100  # requests of an instance at a time; Azure's own default is 1
TIMEOUT_MS = 180_000  # the longest that Azure allows a request
LINES = 2000  # of a container's log: its counts stand in them every few seconds
RESOURCE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
UNDER_WAY = ("Creating", "Updating", "Scaling", "Deleting")


class AzureTarget(ManagedTarget):
    """The endpoint of an environment."""

    def __init__(self, environment: str, settings: Settings) -> None:
        super().__init__(environment, settings)
        self.cloud = Cloud.read(settings, environment)
        self.name = self.cloud.endpoint or f"{project.NAME}-{environment}"
        self.token: AccessToken | None = None

    def refuse(self, traffic: Traffic) -> None:
        """Refuse to copy more than the platform does."""
        if traffic.mirror > MIRROR:
            raise MlopsError(
                f"release.mirror is {traffic.mirror}: Azure ML mirrors {MIRROR} % of the requests "
                f"at most. Set it to {MIRROR} or less in environments/{self.environment}.yaml."
            )

    def deploy(self, slot: Slot, version: int, folder: Path) -> None:
        """Run a version's image in a slot."""
        there = self._settled(slot)
        if there and there.tags["version"] == str(version) and _stands(there):
            return
        try:
            with self.cloud.asked():
                if self._endpoint() is None:
                    self._create()
                wanted = self._deployment(slot, version)
                self._wait(self.cloud.ml.online_deployments.begin_create_or_update, wanted)
        except CloudError as error:
            told = self._end(slot)
            with suppress(CloudError):  # the first error is the one to tell
                self._delete(slot)
            if _refused(error):
                raise
            raise DeployError(
                f"{slot}: version {version} did not come up: {error}{told}"
            ) from error

    def route(self, traffic: Traffic, slots: Slots, lease: float | None = None) -> None:
        """Set the traffic; a slot that holds nothing gets none. Azure has no leases."""
        self.refuse(traffic)
        shares = {slots.champion: traffic.champion, slots.challenger: traffic.challenger}
        mirror = {slots.challenger: traffic.mirror} if traffic.mirror else {}
        endpoint = self._endpoint()
        held = _held(endpoint) if endpoint else set()
        if endpoint is None or (traffic != CHAMPION and slots.challenger not in held):
            raise MlopsError(f"{traffic}: there is nothing in the {slots.challenger} slot.")
        now = {slot: share for slot, share in endpoint.traffic.items() if share}
        wanted = {slot: share for slot, share in shares.items() if share and slot in held}
        sticky = str(traffic.sticky).lower()  # what was asked for
        tags = {**endpoint.tags, "champion": slots.champion, "sticky": sticky}
        if (now, endpoint.mirror_traffic, endpoint.tags) == (wanted, mirror, tags):
            return
        endpoint.traffic, endpoint.mirror_traffic, endpoint.tags = wanted, mirror, tags
        with self.cloud.asked():
            self._wait(self.cloud.ml.online_endpoints.begin_create_or_update, endpoint)

    def remove(self, slot: Slot) -> None:
        """Delete the slot's deployment."""
        endpoint = self._endpoint()
        if endpoint and {**endpoint.traffic, **endpoint.mirror_traffic}.get(slot):
            raise MlopsError(f"The {slot} slot gets traffic: route it away first.")
        self._delete(slot)

    def state(self) -> State:
        """Return what stands, by the tags."""
        endpoint, there = self._endpoint(), self._deployments()
        if endpoint is None or not there:
            return State()
        slots = Slots(champion=endpoint.tags.get("champion", "blue"))
        share = endpoint.traffic.get(slots.challenger, 0)
        mirror = endpoint.mirror_traffic.get(slots.challenger, 0)
        return State(
            versions={one.name: int(one.tags["version"]) for one in there},
            ready={one.name: _stands(one) for one in there},
            slots=slots,
            traffic=Traffic(
                champion=100 - share,
                challenger=share,
                mirror=mirror,
                sticky=endpoint.tags.get("sticky") == "true",
            ),
            address=endpoint.scoring_uri,
        )

    def stop(self) -> None:
        """Delete the endpoint and its deployments."""
        with self.cloud.asked():
            if self._endpoint():
                self._wait(self.cloud.ml.online_endpoints.begin_delete, self.name)

    def _delete(self, slot: Slot) -> None:
        """Delete a deployment, and with the last one the endpoint."""
        with self.cloud.asked():
            if self._settled(slot):
                self._wait(self.cloud.ml.online_deployments.begin_delete, slot, self.name)
            if not self._deployments():
                self.stop()

    def _create(self) -> None:
        from azure.ai.ml.entities import ManagedOnlineEndpoint

        tags = {
            "project": project.NAME,
            "environment": self.environment,
            "champion": "blue",
            "sticky": "false",
        }
        endpoint = ManagedOnlineEndpoint(name=self.name, auth_mode="aad_token", tags=tags)
        self._wait(self.cloud.ml.online_endpoints.begin_create_or_update, endpoint)

    def _deployment(self, slot: Slot, version: int) -> "OnlineDeployment":
        from azure.ai.ml.entities import (
            Environment,
            ManagedOnlineDeployment,
            OnlineRequestSettings,
        )

        routes = {"liveness": "/health", "readiness": "/ready", "scoring": "/invocations"}
        return ManagedOnlineDeployment(
            name=slot,
            endpoint_name=self.name,
            environment=Environment(
                image=f"{self.cloud.image}:{version}",
                inference_config={
                    f"{name}_route": {"port": PORT, "path": path} for name, path in routes.items()
                },
            ),
            environment_variables=self._variables(version),
            instance_type=self.cloud.machine,
            instance_count=self.cloud.instances,
            request_settings=OnlineRequestSettings(
                request_timeout_ms=min(int(self.settings.serving.timeout * 1000), TIMEOUT_MS),
                max_concurrent_requests_per_instance=CONCURRENT,
            ),
            tags={"version": str(version)},
        )

    def _wait(self, begin: Callable[..., Any], *arguments: Any) -> None:
        """Carry an operation out; the dots that the SDK prints meanwhile are not ours."""
        with redirect_stdout(StringIO()):
            begin(*arguments).result(READY_SECONDS)

    def _endpoint(self) -> "OnlineEndpoint | None":
        return self.cloud.find(lambda: self.cloud.ml.online_endpoints.get(self.name))

    def _deployments(self) -> list["OnlineDeployment"]:
        return self.cloud.find(lambda: [*self.cloud.ml.online_deployments.list(self.name)]) or []

    def _settled(self, slot: Slot) -> "OnlineDeployment | None":
        """Return a slot's deployment, once no earlier operation is under way there."""
        while True:
            there = next((one for one in self._deployments() if one.name == slot), None)
            if there is None or there.provisioning_state not in UNDER_WAY:
                return there
            time.sleep(self.poll)

    def _end(self, slot: Slot) -> str:
        """Return the last lines of a slot's log, for those who ask why it did not come up."""
        try:
            lines = list(self._lines(slot, 0.0))[-5:]
        except MlopsError:
            return ""
        return "".join(f"\n  {line}" for line in lines)

    def _slots(self) -> list[Slot]:
        return [one.name for one in self._deployments()]

    def _invoke(self, slot: Slot | None, body: Any) -> tuple[int, dict[str, Any]]:
        import requests

        endpoint = self._endpoint()
        if endpoint is None or (slot and slot not in _held(endpoint)):
            raise MlopsError(f"The {slot or 'endpoint'} of {self.environment} is empty.")
        headers = {"Authorization": f"Bearer {self._token()}"}
        if slot:
            headers["azureml-model-deployment"] = slot
        try:
            came = requests.post(
                endpoint.scoring_uri, json=body, headers=headers, timeout=TIMEOUT_MS / 1000
            )
        except requests.RequestException as error:
            raise MlopsError(f"{endpoint.scoring_uri}: no answer ({error}).") from error
        # What the server itself said, where Azure wraps it (424).
        status = int(came.headers.get("ms-azureml-model-error-statuscode", came.status_code))
        try:
            return status, dict(came.json())
        except ValueError:
            return status, {"detail": came.text}

    def _token(self) -> str:
        """Return a caller's token; to get one may take a second, so it is kept."""
        if self.token is None or self.token.expires_on < time.time() + MARGIN:
            with self.cloud.asked():
                self.token = self.cloud.credential.get_token(SCOPE)
        return str(self.token.token)

    def _lines(self, slot: Slot, since: float) -> Iterable[str]:
        """Return the end of the log of one of the slot's instances, whichever Azure picks."""
        with self.cloud.asked():
            told = self.cloud.ml.online_deployments.get_logs(slot, self.name, LINES)
        yield from told.splitlines()

    def _counted(self, slot: Slot, since: float) -> tuple[int, int]:
        """Return the sum of the whole minutes since then; Azure Monitor is some minutes late."""
        from azure.monitor.querymetrics import MetricsClient

        start = datetime.fromtimestamp(math.ceil(since / 60) * 60, UTC)
        now = datetime.now(UTC)
        if start >= now:
            return 0, 0
        cloud = self.cloud
        client = MetricsClient(
            f"https://{cloud.location}.metrics.monitor.azure.com", cloud.credential
        )
        resource = (
            f"/subscriptions/{cloud.subscription}/resourceGroups/{cloud.resource_group}/providers/"
            f"Microsoft.MachineLearningServices/workspaces/{cloud.workspace}"
            f"/onlineEndpoints/{self.name}"
        )
        with cloud.asked():
            found = client.query_resources(
                resource_ids=[resource],
                metric_namespace=RESOURCE,
                metric_names=["RequestsPerMinute"],
                timespan=(start, now),
                granularity=timedelta(minutes=1),
                aggregations=["Average"],
                filter=f"deployment eq '{slot}' and statusCode eq '*' and modelStatusCode eq '*'",
                max_results=1000,
            )
        requests = errors = 0.0
        for series in (one for result in found for one in result.metrics[0].timeseries):
            count = sum(value.average or 0.0 for value in series.data)
            requests += count
            if any(str(code).startswith("5") for code in series.metadata_values.values()):
                errors += count
        return round(requests), round(errors)


def _held(endpoint: "OnlineEndpoint") -> set[str]:
    """Return the slots that hold something: the SDK lists those without traffic, too."""
    return {*endpoint.traffic, *endpoint.mirror_traffic}


def _stands(deployment: "OnlineDeployment") -> bool:
    return bool(deployment.provisioning_state == "Succeeded")


def _refused(error: CloudError) -> bool:
    """Tell whether Azure has not even tried: by its answer, or for want of machines."""
    status = getattr(error.__cause__, "status_code", None) or 0
    return not 200 <= status < 300 or any(mark in str(error).lower() for mark in QUOTA)


def open_target(environment: str, settings: Settings) -> Target:
    """Return the endpoint of an environment."""
    return AzureTarget(environment, settings)
