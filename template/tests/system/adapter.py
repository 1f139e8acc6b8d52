"""An example of an integration: fetches an upstream's records, asks the model, and hands on.

A caller of the service needs its address and a key, and nothing of this repository.
"""

from collections.abc import Callable
from typing import Any

import requests

Rows = list[dict[str, Any]]
Predict = Callable[[Rows], Rows]


class RefusedError(Exception):
    """A system does not take what it was sent; it says why."""


def relay(upstream: str, predict: Predict, consumer: str) -> int:
    """Bring all of the upstream's records, with their predictions, to the consumer; count them."""
    records = call(f"{upstream}/records")
    rows = [record | answer for record, answer in zip(records, predict(records), strict=True)]
    return int(call(f"{consumer}/predictions", rows))


def online(address: str, key: str = "") -> Predict:
    """Return what asks the service at ``address``."""

    def predict(records: Rows) -> Rows:
        answer = call(f"{address}/predict", {"records": records}, {"x-api-key": key})
        version = answer["version"]
        return [{"prediction": one, "version": version} for one in answer["predictions"]]

    return predict


def call(url: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """Return the answer to a GET, or to a POST of ``body`` as JSON."""
    method = "GET" if body is None else "POST"
    answer = requests.request(method, url, json=body, headers=headers, timeout=60)
    if not answer.ok:
        raise RefusedError(f"{url}: status {answer.status_code}: {answer.text}")
    return answer.json()
