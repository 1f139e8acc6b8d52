"""The served form of a model: an ONNX file that answers for raw records. Needs numpy besides."""

import json
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

    The model takes one matrix of numbers and one of texts, and its metadata names their columns.
    One without (of an earlier release, or of your own) has an input a column, of the same name.

    Args:
        path: the model.onnx, or what it holds.
        threads: of one prediction. One is best where predictions run side by side.
    """

    def __init__(self, path: Path | bytes, threads: int = 1) -> None:
        options = SessionOptions()
        options.intra_op_num_threads = threads
        self._session = InferenceSession(path, options)
        columns = self._session.get_modelmeta().custom_metadata_map
        self._inputs = {
            entry.name: (
                object if entry.type == "tensor(string)" else np.float32,
                json.loads(columns[entry.name]) if entry.name in columns else [entry.name],
            )
            for entry in self._session.get_inputs()
        }
        self._output = self._session.get_outputs()[-1].name

    def predict(self, records: Mapping[str, Any]) -> Array:
        """Return one prediction per row of ``records``: a mapping, or a frame, of columns.

        Shape (rows,) for a number or for the probability of the positive class, (rows, classes)
        for more than two classes. A missing column raises ``KeyError``.
        """
        feeds = {
            name: np.stack([np.asarray(records[c], dtype=dtype).ravel() for c in columns], axis=1)
            for name, (dtype, columns) in self._inputs.items()
        }
        return flatten(self._session.run([self._output], feeds)[0])

    def answer(self, records: Sequence[Mapping[str, Any]]) -> Array:
        """Return what :meth:`predict` does, for records: quicker for few."""
        feeds = {
            name: np.array([[record[c] for c in columns] for record in records], dtype=dtype)
            for name, (dtype, columns) in self._inputs.items()
        }
        return flatten(self._session.run([self._output], feeds)[0])


def flatten(output: Array) -> Array:
    """Return ``output`` without the columns that say nothing: (rows, 1) and two-class scores."""
    if output.ndim == 2 and output.shape[1] <= 2:
        return output[:, -1]
    return output
