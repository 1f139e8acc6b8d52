"""An endpoint of Vertex AI: a slot is one of its deployed models, called ``blue-3`` in version 3.

The endpoint's label ``champion`` names the champion's slot. Requests go by the traffic: no slot can
be chosen. One with a share is asked until it is the one that answers. For one without, its model
stands on a second endpoint, ``<name>-smoke``, until it gets traffic or is removed.
"""

import contextlib
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ... import project
from ...cloud.base import CloudError
from ...cloud.gcp import Cloud
from ...errors import MlopsError
from ...settings import Settings
from ..traffic import CHAMPION, Slot, Slots, Traffic
from .base import DeployError, State, Window
from .managed import READY_SECONDS, ManagedTarget, Mark

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import DeployedModel, Endpoint
    from requests import Response

PORT = 8080
NOT_THE_MODEL = (401, 403, 429)  # refusals that say nothing about a version
RESPONSES = "aiplatform.googleapis.com/prediction/online/response_count"
ANSWERED = "X-Vertex-AI-Deployed-Model-Id"  # the header that says who has
TRIES = 1000  # until a slot with a share of 1 % has answered
TAIL = 5  # lines of a log that a refusal shows


class VertexTarget(ManagedTarget):
    """One environment on Vertex AI; see :class:`~.base.Target`."""

    def __init__(self, environment: str, settings: Settings) -> None:
        super().__init__(environment, settings)
        self.cloud = Cloud.read(settings, environment)
        self.id = f"{project.NAME}-{environment}"
        self.smoke = f"{self.id}-smoke"
        self._ids: dict[Slot, str] = {}
        self._seen: tuple[Mark | None, float, dict[Slot, Window]] = (None, 0.0, {})

    def refuse(self, traffic: Traffic) -> None:
        """Refuse to copy requests."""
        if traffic.mirror:
            raise MlopsError("Vertex AI endpoints copy no requests (shadow). The nearest: canary.")

    def deploy(self, slot: Slot, version: int, folder: Path) -> None:
        """Deploy a version's image into a slot, and return once it is ready.

        Raises:
            DeployError: it did not become ready; nothing of it is left.
            CloudError: Google Cloud refuses it (quota, role, name …); nothing of it is left.
        """
        self._settle(self.id)
        if one := _slots(self._find(self.id)).get(slot):
            if _version(one) == version:
                return
            self.remove(slot)
        try:
            self._put(self.id, slot, version, self.cloud.instances)
        except MlopsError:
            self._clear(slot)
            raise

    def route(self, traffic: Traffic, slots: Slots, lease: float | None = None) -> None:
        """Set the traffic and whose the slots are, in one request.

        Callers are not told apart (``sticky``), and a lease is not kept: Vertex AI has neither.

        Raises:
            MlopsError: the challenger's slot is empty, or requests should be copied to it.
        """
        self.refuse(traffic)
        endpoint = self._find(self.id)
        standing = _slots(endpoint)
        if endpoint is None or (traffic != CHAMPION and slots.challenger not in standing):
            raise MlopsError(f"{traffic}: there is nothing in the {slots.challenger} slot.")
        shares = {slots.champion: traffic.champion, slots.challenger: traffic.challenger}
        split = {one.id: shares[slot] for slot, one in standing.items() if shares[slot]}
        labels = {**endpoint.labels, "champion": slots.champion}
        if split == dict(endpoint.traffic_split) and labels == dict(endpoint.labels):
            return
        if traffic != CHAMPION:
            self._delete(self.smoke)
        self._update(traffic_split=split, labels=labels)

    def observe(self, since: Mark) -> dict[Slot, Window]:
        """Return what each slot did since then.

        Looked up at most every ``poll`` seconds: a project may read its logs 60 times a minute.
        """
        mark, looked, found = self._seen
        if mark is not since or time.monotonic() - looked >= self.poll:
            found = super().observe(since)
            self._seen = (since, time.monotonic(), found)
        return found

    def remove(self, slot: Slot) -> None:
        """Take the model out of a slot that gets no traffic.

        Raises:
            MlopsError: it gets traffic.
        """
        endpoint = self._find(self.id)
        one = _slots(endpoint).get(slot)
        if endpoint and one and endpoint.traffic_split.get(one.id):
            raise MlopsError(
                f"The {slot} slot of {self.environment} answers callers: give its traffic to the "
                "other slot first."
            )
        self._clear(slot)

    def state(self) -> State:
        """Return what stands now."""
        endpoint = self._find(self.id)
        standing = _slots(endpoint)
        if endpoint is None or not standing:
            return State()
        slots = Slots.model_validate({"champion": endpoint.labels.get("champion", "blue")})
        challenger = standing.get(slots.challenger)
        share = endpoint.traffic_split.get(challenger.id, 0) if challenger else 0
        return State(
            versions={slot: _version(one) for slot, one in standing.items()},
            ready=dict.fromkeys(standing, True),  # else it would be no deployed model yet
            slots=slots,
            traffic=Traffic(champion=100 - share, challenger=share),
            address=self._address(self.id),
        )

    def stop(self) -> None:
        """Take both slots and the endpoint down."""
        self._settle(self.id)
        endpoint = self._find(self.id)
        if endpoint and endpoint.traffic_split:
            self._update(traffic_split={})
        for slot in get_args(Slot):
            self._clear(slot)
        self._delete(self.id)

    def _slots(self) -> Iterable[Slot]:
        self._ids = {slot: one.id for slot, one in _slots(self._find(self.id)).items()}
        return self._ids

    def _invoke(self, slot: Slot | None, body: Any) -> tuple[int, dict[str, Any]]:
        id, wanted = (self.id, None) if slot is None else self._answering(slot)
        for _ in range(TRIES):
            response = self.cloud.call(self._post, self._address(id), body)
            if wanted in (None, response.headers.get(ANSWERED, wanted)):
                return response.status_code, response.json()
        raise MlopsError(f"The {slot} slot of {self.environment} does not answer any more.")

    def _lines(self, slot: Slot, since: float) -> Iterable[str]:
        mine = f'{self._mine(self.id)} AND labels.deployed_model_id="{self._ids[slot]}"'
        return self.cloud.lines(mine, since)

    def _counted(self, slot: Slot, since: float) -> tuple[int, int]:
        mine = f'metric.type="{RESPONSES}" AND {self._mine(self.id)}'
        asked = {
            "filter": f'{mine} AND metric.labels.deployed_model_id="{self._ids[slot]}"',
            "interval.startTime": datetime.fromtimestamp(since, UTC).isoformat(),
            "interval.endTime": datetime.now(UTC).isoformat(),
        }
        url = f"{self.cloud.address('monitoring')}/v3/projects/{self.cloud.project}/timeSeries"
        requests = errors = 0
        for series in self.cloud.request("GET", url, params=asked).get("timeSeries", []):
            # A minute that had begun is left out: it counts what came before, too.
            new = [one for one in series["points"] if _start(one) >= since]
            count = sum(int(one["value"]["int64Value"]) for one in new)
            requests += count
            errors += count if series["metric"]["labels"]["response_code"][0] == "5" else 0
        return requests, errors

    def _put(
        self, id: str, slot: Slot, version: int, instances: int, split: dict[str, int] | None = None
    ) -> None:
        """Deploy a version to an endpoint, which is made if it is not there; or leave nothing."""
        made, began = self._find(id) is None, time.time()
        try:
            if made:
                self._create(id)
            one = {
                "display_name": f"{slot}-{version}",
                "model": self._model(slot, version),
                "service_account": self.cloud.service_account,
                "dedicated_resources": {
                    "machine_spec": {"machine_type": self.cloud.machine},
                    "min_replica_count": instances,
                    "max_replica_count": instances,
                },
            }
            # Without a split the others' traffic stays as it is, and this one gets none.
            asked = {"endpoint": self._name(id), "deployed_model": one, "traffic_split": split}
            operation = self.cloud.call(self.endpoints.deploy_model, request=asked)
            self.cloud.wait(operation, self.poll, READY_SECONDS)
        except CloudError as error:
            told = self._tail(id, began)
            self._undeploy(id, slot)
            if made:
                self._delete(id)
            if getattr(error.__cause__, "code", None) in NOT_THE_MODEL:
                raise
            raise DeployError(
                f"Version {version} is not ready in the {slot} slot. {error}{told}"
            ) from error

    def _model(self, slot: Slot, version: int) -> str:
        """Return the name of the model that runs a version's image; it is made if need be."""
        id = f"{self.id}-{slot}-{version}"
        name = f"{self.cloud.parent}/models/{id}"
        if self.cloud.find(self.models.get_model, name=name):
            return name
        variables = self._variables(version).items()
        model = {
            "display_name": id,
            "labels": {"endpoint": self.id, "slot": slot, "version": str(version)},
            "container_spec": {
                "image_uri": f"{self.cloud.image}:{version}",
                "env": [{"name": key, "value": value} for key, value in variables],
                "ports": [{"container_port": PORT}],
                "health_route": "/ready",
                "predict_route": "/invocations",
            },
        }
        asked = {"parent": self.cloud.parent, "model_id": id, "model": model}
        self.cloud.wait(self.cloud.call(self.models.upload_model, request=asked), self.poll)
        return name

    def _answering(self, slot: Slot) -> tuple[str, str | None]:
        """Return the endpoint where a slot answers, and as which of its deployed models."""
        endpoint = self._find(self.id)
        one = _slots(endpoint).get(slot)
        if endpoint is None or one is None:
            raise MlopsError(f"The {slot} slot of {self.environment} is empty.")
        if endpoint.traffic_split.get(one.id):
            return self.id, one.id
        self._settle(self.smoke)
        there = [each.display_name for each in _slots(self._find(self.smoke)).values()]
        if there != [one.display_name]:
            self._delete(self.smoke)
            self._put(self.smoke, slot, _version(one), 1, {"0": 100})  # 0: the one that comes
        return self.smoke, None

    def _clear(self, slot: Slot) -> None:
        """Delete all that a slot consists of."""
        self._delete(self.smoke)
        self._undeploy(self.id, slot)
        asked = {
            "parent": self.cloud.parent,
            "filter": f'labels.endpoint="{self.id}" AND labels.slot="{slot}"',
        }
        for model in self.cloud.call(self.models.list_models, request=asked):
            operation = self.cloud.call(self.models.delete_model, name=model.name)
            self.cloud.wait(operation, self.poll)

    def _undeploy(self, id: str, slot: Slot) -> None:
        self._settle(id)
        if one := _slots(self._find(id)).get(slot):
            operation = self.cloud.call(
                self.endpoints.undeploy_model, endpoint=self._name(id), deployed_model_id=one.id
            )
            self.cloud.wait(operation, self.poll)

    def _create(self, id: str) -> None:
        asked = {
            "parent": self.cloud.parent,
            "endpoint_id": id,
            "endpoint": {"display_name": id, "labels": {"champion": "blue"}},
        }
        self.cloud.wait(self.cloud.call(self.endpoints.create_endpoint, request=asked), self.poll)

    def _delete(self, id: str) -> None:
        """Delete an endpoint, and first what is deployed to it."""
        for slot in _slots(self._find(id)):
            self._undeploy(id, slot)
        if self._find(id):
            operation = self.cloud.call(self.endpoints.delete_endpoint, name=self._name(id))
            self.cloud.wait(operation, self.poll)

    def _update(self, **fields: Any) -> None:
        self.cloud.call(
            self.endpoints.update_endpoint,
            endpoint={"name": self._name(self.id), **fields},
            update_mask={"paths": list(fields)},
        )

    def _settle(self, id: str) -> None:
        """Wait for what a release that was interrupted has left under way."""
        asked = {"name": self._name(id)}
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            found = self.cloud.find(self.endpoints.list_operations, asked)
            if found is None or all(one.done for one in found.operations):
                return
            time.sleep(self.poll)

    def _find(self, id: str) -> "Endpoint | None":
        found: Endpoint | None
        found = self.cloud.find(self.endpoints.get_endpoint, name=self._name(id))
        return found

    def _post(self, url: str, body: Any, timeout: float) -> "Response":
        """Send a request. What Google says is raised, what the server says is returned."""
        from google.api_core.exceptions import from_http_response

        response = self.cloud.session.post(url, json=body, timeout=timeout)
        if response.status_code in (*NOT_THE_MODEL, 404) and "error" in response.json():
            raise from_http_response(response)
        return response

    def _tail(self, id: str, since: float) -> str:
        """Return the end of what an endpoint's containers have printed."""
        lines: list[str] = []
        with contextlib.suppress(CloudError):
            lines = list(self.cloud.lines(self._mine(id), since))[-TAIL:]
        return "\n".join([" Its log ends:", *lines]) if lines else ""

    def _name(self, id: str) -> str:
        return f"{self.cloud.parent}/endpoints/{id}"

    def _address(self, id: str) -> str:
        return f"{self.cloud.address('aiplatform')}/v1/{self._name(id)}:rawPredict"

    def _mine(self, id: str) -> str:
        """Return what picks an endpoint's own lines and counts, in Google's language of filters."""
        return (
            'resource.type="aiplatform.googleapis.com/Endpoint" '
            f'AND resource.labels.endpoint_id="{id}"'
        )

    @cached_property
    def endpoints(self) -> Any:
        """Return the client of endpoints."""
        return self.cloud.client("Endpoint")

    @cached_property
    def models(self) -> Any:
        """Return the client of models."""
        return self.cloud.client("Model")


def open_target(environment: str, settings: Settings) -> VertexTarget:
    """Return an environment's endpoint on Vertex AI."""
    return VertexTarget(environment, settings)


def _slots(endpoint: "Endpoint | None") -> "dict[Slot, DeployedModel]":
    """Return what is deployed to an endpoint, by slot."""
    deployed = {
        one.display_name.split("-")[0]: one
        for one in (endpoint.deployed_models if endpoint else ())
    }
    return {slot: deployed[slot] for slot in get_args(Slot) if slot in deployed}


def _version(one: "DeployedModel") -> int:
    return int(one.display_name.split("-")[1])


def _start(point: dict[str, Any]) -> float:
    return datetime.fromisoformat(point["interval"]["startTime"]).timestamp()
