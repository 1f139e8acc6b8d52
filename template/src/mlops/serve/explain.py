"""Why a prediction is what it is, for any model: it is asked, not opened.

Shapley values by sampled orders of the fields (Strumbelj and Kononenko, 2014), each order with its
reverse, which halves the variance or better (Mitchell et al., 2022). A field that is not yet there
has its typical value. The `shap` package does the same with numba and scikit-learn behind it, which
a server need not carry.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from ..contract import Contract
from ..errors import MlopsError
from ..scorer import SERVED, Scorer
from ..settings import Paths, environment_name
from .capture import find

Array = NDArray[np.floating[Any]]

PAIRS = 16  # of orders
SEED = 0  # the same record is explained the same way


class Explained(BaseModel):
    """One prediction, from the capture, and why."""

    request_id: str
    version: int
    prediction: float | list[float]  # as it was answered
    base: float | list[float]
    contributions: dict[str, float | list[float]]
    unusual: list[str]
    masked: list[str]  # personal: explained as if typical


def shapley(
    predict: Callable[[Mapping[str, Any]], Array],
    record: Mapping[str, Any],
    typical: Mapping[str, Any],
    pairs: int = PAIRS,
) -> tuple[Array, dict[str, Array]]:
    """Return the base, and each field's contribution; all together they are the prediction.

    Args:
        predict: takes columns, returns shape (rows,) or (rows, classes).
        record: what is explained.
        typical: the value of each field where it is absent.
        pairs: of orders that are sampled.
    """
    names = [name for name, value in record.items() if value != typical[name]]
    orders = np.array(
        [np.random.default_rng((SEED, n)).permutation(len(names)) for n in range(pairs)]
    )
    orders = np.concatenate([orders, orders[:, ::-1]]).astype(int)
    # present[order, step, field]: the first ``step`` fields of the order have come.
    ranks = np.argsort(orders, axis=1)
    present = ranks[:, None, :] < np.arange(len(names) + 1)[:, None]
    flat = present.reshape(len(orders) * (len(names) + 1), len(names))
    columns: dict[str, Any] = {name: np.full(len(flat), value) for name, value in typical.items()}
    for index, name in enumerate(names):
        values = np.array([typical[name], record[name]], dtype=object)
        columns[name] = values[flat[:, index].astype(int)]
    predictions = predict(columns).astype(float)
    predictions = predictions.reshape(*present.shape[:2], *predictions.shape[1:])
    gains = np.diff(predictions, axis=1)
    total = np.zeros((len(names), *gains.shape[2:]))
    np.add.at(total, orders, gains)
    contributions = {name: np.zeros(gains.shape[2:]) for name in record}
    contributions |= dict(zip(names, total / len(orders), strict=True))
    return predictions[0, 0], contributions


def by_request(
    request_id: str, environment: str | None = None, position: int = 0, paths: Paths | None = None
) -> Explained:
    """Explain a captured prediction with the model that gave it.

    Args:
        request_id: of the answer.
        environment: where it was given; else MLOPS_ENV's.
        position: of the record in the request.
        paths: of the project; else the working folder's.

    Raises:
        MlopsError: no capture holds it.
    """
    from .. import candidate

    folder = (paths or Paths()).deployments / (environment or environment_name())
    found = (find(path, request_id, position) for path in sorted(folder.glob("capture-*.db")))
    row = next(filter(None, found), None)
    if row is None:
        raise MlopsError(
            f"No capture in {folder} holds record {position} of request {request_id}: it was "
            "answered elsewhere, its row has gone (serving.capture_rows), or capture is off."
        )
    model = candidate.fetch(int(row["version"]))
    contract = Contract.read(model)
    typical = {field.name: field.typical for field in contract.fields}
    record = json.loads(row["record"])
    masked = [field.name for field in contract.fields if field.personal]
    record |= {name: typical[name] for name in masked}
    base, contributions = shapley(Scorer(model / SERVED).predict, record, typical)
    prediction = row["prediction"]
    return Explained(
        request_id=request_id,
        version=int(row["version"]),
        prediction=json.loads(prediction) if isinstance(prediction, str) else prediction,
        base=base.tolist(),
        contributions={name: value.tolist() for name, value in contributions.items()},
        unusual=json.loads(row["unusual"]),
        masked=masked,
    )
