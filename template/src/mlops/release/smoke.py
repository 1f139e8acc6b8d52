"""Does a deployed model answer, and as it should? Asked of a slot before it gets any traffic."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..contract import Contract
from ..errors import MlopsError
from ..scorer import SERVED, Scorer

Ask = Callable[[str, Any], tuple[int, dict[str, Any]]]

TOLERANCE = 1e-5


class SmokeError(MlopsError):
    """The service answers otherwise than its model does."""


class KeyRefusedError(MlopsError):
    """The service does not take this key: it says nothing about the model."""


def smoke(ask: Ask, folder: Path, version: int) -> int:
    """Send one request of each kind; return how many there were.

    Args:
        ask: sends a path and a body (None: GET) to the service; returns status and answer.
        folder: the model that should answer.
        version: its number.

    Raises:
        KeyRefusedError: it does not take the key.
        SmokeError: naming the request, what came, and what should have.
    """
    contract = Contract.read(folder)
    record = contract.example
    columns = {name: [value] for name, value in record.items()}
    wanted = Scorer(folder / SERVED).predict(columns)
    first = contract.fields[0]

    _expect("ready", ask("/ready", None), 200, version)
    answer = _expect("valid", ask("/predict", {"records": [record]}), 200, version)
    _equal("valid", answer, wanted.tolist())
    answer = _expect("batch", ask("/predict", {"records": [record] * 3}), 200, version)
    _equal("batch", answer, wanted.tolist() * 3)
    broken = {**record, first.name: [] if first.kind == "text" else "?"}
    refused = _expect("invalid", ask("/predict", {"records": [broken]}), 422)
    if first.name not in str(refused):
        raise SmokeError(f"smoke.invalid: the refusal does not name {first.name}: {refused}")
    return 4


def _expect(
    name: str, came: tuple[int, dict[str, Any]], status: int, version: int | None = None
) -> dict[str, Any]:
    code, answer = came
    if code in (401, 403) and status not in (401, 403):
        raise KeyRefusedError(
            f"The service refuses this key ({code}): it takes those it was started with. Use one "
            "of them, or `make stop` and deploy again, which ends it for a moment."
        )
    if code != status:
        raise SmokeError(f"smoke.{name}: status {code}, expected is {status}: {answer}")
    if version is not None and answer.get("version") != str(version):
        raise SmokeError(
            f"smoke.{name}: version {answer.get('version')} answered, expected is {version}."
        )
    return answer


def _equal(name: str, answer: dict[str, Any], wanted: list[Any]) -> None:
    came = np.asarray(answer["predictions"], dtype=float)
    if came.shape != np.shape(wanted) or not np.allclose(came, wanted, TOLERANCE, TOLERANCE):
        raise SmokeError(
            f"smoke.{name}: predicted {answer['predictions']}, the model itself says {wanted}."
        )
