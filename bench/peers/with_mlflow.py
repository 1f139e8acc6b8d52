"""Write the ONNX model for ``mlflow models serve``: ``python with_mlflow.py KIND ROWS FOLDER``.

``table`` has a signature of columns, as ``infer_signature`` gives it for a frame, and is a
``PythonModel``: MLflow's ONNX flavor hands over flat columns, which a model that takes matrices
refuses. ``tensors`` is the ONNX flavor, with a signature of named tensors.
"""

import os
import sys
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec
from onnx_model import Model


class Table(mlflow.pyfunc.PythonModel):
    """The ONNX model for a frame."""

    def load_context(self, context):
        os.environ["BENCH_MODEL"] = context.artifacts["model"]
        self.model = Model()

    def predict(self, context, model_input, params=None):
        feeds = {
            matrix: model_input[columns].to_numpy(self.model.types[matrix])
            for matrix, columns in self.model.columns.items()
        }
        return self.model.session.run(["probabilities"], feeds)[0][:, 1]


def table(rows: pd.DataFrame, folder: str) -> None:
    """Write the model as a PythonModel."""
    mlflow.pyfunc.save_model(
        folder,
        python_model=Table(),
        artifacts={"model": os.environ["BENCH_MODEL"]},
        code_paths=[str(Path(__file__).with_name("onnx_model.py"))],
        signature=infer_signature(rows, np.zeros(len(rows), np.float32)),
        input_example=rows[:1],
        pip_requirements=["onnxruntime"],
    )


def tensors(rows: pd.DataFrame, folder: str) -> None:
    """Write the model in the ONNX flavor."""
    model = Model()
    types = {name: np.dtype(str if t is object else t) for name, t in model.types.items()}
    shapes = {name: (-1, len(columns)) for name, columns in model.columns.items()}
    inputs = Schema([TensorSpec(types[name], shape, name) for name, shape in shapes.items()])
    mlflow.onnx.save_model(
        onnx.load(os.environ["BENCH_MODEL"]),
        folder,
        signature=ModelSignature(inputs),
        onnx_session_options={"intra_op_num_threads": 1},
        pip_requirements=["onnxruntime"],
    )


if __name__ == "__main__":
    kind, rows, folder = sys.argv[1:]
    {"table": table, "tensors": tensors}[kind](pd.read_json(rows, orient="records"), folder)
