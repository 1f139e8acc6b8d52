"""An example of an integration: fetches an upstream's records, asks the model, and hands on.

It needs a way to ask the service, and nothing else of this repository.
"""

from collections.abc import Callable
from typing import Any

import requests

Rows = list[dict[str, Any]]
Predict = Callable[[Rows], Rows]
Ask = Callable[[str, Any], tuple[int, dict[str, Any]]]


class RefusedError(Exception):
    """A system does not take what it was sent; it says why."""


def relay(upstream: str, predict: Predict, consumer: str) -> int:
    """Bring all of the upstream's records, with their predictions, to the consumer; count them."""
    records = call(f"{upstream}/records")
    rows = [record | answer for record, answer in zip(records, predict(records), strict=True)]
    return int(call(f"{consumer}/predictions", rows))


def online(ask: Ask) -> Predict:
    """Return what asks the service by ``ask``, which knows where it is and how to be let in."""

    def predict(records: Rows) -> Rows:
        status, answer = ask("/predict", {"records": records})
        if status != 200:
            raise RefusedError(f"/predict: status {status}: {answer}")
        version = answer["version"]
        return [{"prediction": one, "version": version} for one in answer["predictions"]]

    return predict


def call(url: str, body: Any = None) -> Any:
    """Return the answer to a GET, or to a POST of ``body`` as JSON."""
    method = "GET" if body is None else "POST"
    answer = requests.request(method, url, json=body, timeout=60)
    if not answer.ok:
        raise RefusedError(f"{url}: status {answer.status_code}: {answer.text}")
    return answer.json()
