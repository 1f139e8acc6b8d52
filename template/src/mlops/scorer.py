"""The served form of a model: an ONNX file that answers for raw records. Needs numpy besides."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

SERVED = "model.onnx"

Array = NDArray[np.floating[Any]]


class Scorer:
    """Answers for one model; preprocessing is inside.

    Args:
        path: the model.onnx, or what it holds.
        threads: of one prediction. One is best where predictions run side by side.
    """

    def __init__(self, path: Path | bytes, threads: int = 1) -> None:
        options = SessionOptions()
        options.intra_op_num_threads = threads
        self._session = InferenceSession(path, options)
        self.inputs = {
            entry.name: object if entry.type == "tensor(string)" else np.float32
            for entry in self._session.get_inputs()
        }
        self._output = self._session.get_outputs()[-1].name
        self._kinds = [
            (kind, [name for name, dtype in self.inputs.items() if dtype is kind])
            for kind in (object, np.float32)
        ]

    def predict(self, records: Mapping[str, Any]) -> Array:
        """Return one prediction per row of ``records``: a mapping, or a frame, of columns.

        Shape (rows,) for a number or for the probability of the positive class, (rows, classes)
        for more than two classes. A missing column raises ``KeyError``.
        """
        feeds = {
            name: np.asarray(records[name], dtype=dtype).reshape(-1, 1)
            for name, dtype in self.inputs.items()
        }
        return flatten(self._session.run([self._output], feeds)[0])

    def answer(self, records: Sequence[Mapping[str, Any]]) -> Array:
        """Return what :meth:`predict` does, for records: one array a kind, so quicker for few."""
        feeds: dict[str, Any] = {}
        for kind, names in self._kinds:
            rows = np.array([[record[name] for name in names] for record in records], dtype=kind)
            feeds.update(zip(names, np.ascontiguousarray(rows.T)[:, :, None], strict=True))
        return flatten(self._session.run([self._output], feeds)[0])


def flatten(output: Array) -> Array:
    """Return ``output`` without the columns that say nothing: (rows, 1) and two-class scores."""
    if output.ndim == 2 and output.shape[1] <= 2:
        return output[:, -1]
    return output
