"""Turns a fitted model into its served form, and keeps its trained form without pickle."""

import json
from copy import copy
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from . import project
from .errors import MlopsError
from .scorer import SERVED, flatten

TRAINED = "model.skops"
OPSET = {"": 21, "ai.onnx.ml": 3}
# Types of these packages are trusted when a trained form is read back; others are refused.
TRUSTED = {"numpy", "scipy", "sklearn", "xgboost", "lightgbm", project.PACKAGE}
# Boosters that onnxmltools converts: its module, and the function in it.
BOOSTERS = {
    "xgboost": ("XGBoost", "convert_xgboost"),
    "lightgbm": ("LightGbm", "convert_lightgbm"),
}

Array = NDArray[np.floating[Any]]


def predict(model: Pipeline, X: pd.DataFrame) -> Array:
    """Return the trained form's predictions, shaped as the served form's are."""
    method = model.predict_proba if project.TASK == "classification" else model.predict
    return flatten(np.asarray(method(X)))


def to_onnx(model: Pipeline, inputs: dict[str, str]) -> bytes:
    """Return ``model`` as ONNX: one input a kind. The same model gives the same bytes.

    ``inputs`` has each column's kind, text or number, in the order that the model is fitted on.

    Raises:
        MlopsError: a step cannot be converted.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    name, estimator = model.steps[-1]
    _register(estimator)
    if hasattr(estimator, "get_booster"):
        # onnxmltools takes trees / n_estimators for the classes: false where trees were added.
        rounds = estimator.get_booster().num_boosted_rounds()
        estimator = copy(estimator).set_params(n_estimators=rounds)
        model = Pipeline([*model.steps[:-1], (name, estimator)])
    tensors = {"number": FloatTensorType, "text": StringTensorType}
    types = [(column, tensors[kind]([None, 1])) for column, kind in inputs.items()]
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    try:
        onnx = convert_sklearn(
            model, name=project.NAME, initial_types=types, options=options, target_opset=OPSET
        )
    except Exception as error:  # each converter raises its own
        raise MlopsError(
            f"{type(estimator).__name__} cannot be served: {error}. Use transformers and an "
            "estimator that skl2onnx converts (docs/model.md)."
        ) from error
    _join(onnx, inputs)
    # The converter lists the operator sets in no fixed order.
    opsets = sorted(onnx.opset_import, key=lambda opset: opset.domain)
    del onnx.opset_import[:]
    onnx.opset_import.extend(opsets)
    return bytes(onnx.SerializeToString(deterministic=True))


def save(model: Pipeline, inputs: dict[str, str], folder: Path) -> None:
    """Write both forms of ``model`` to ``folder``."""
    import skops.io

    folder.mkdir(parents=True, exist_ok=True)
    (folder / SERVED).write_bytes(to_onnx(model, inputs))
    skops.io.dump(model, folder / TRAINED)


def load(folder: Path) -> Pipeline:
    """Read the trained form back.

    Raises:
        MlopsError: the file holds types of a package that is not trusted.
    """
    import skops.io

    path = folder / TRAINED
    types = skops.io.get_untrusted_types(file=path)
    foreign = [name for name in types if name.split(".")[0] not in TRUSTED]
    if foreign:
        raise MlopsError(f"{path} holds types that are not trusted: {', '.join(foreign)}.")
    model: Pipeline = skops.io.load(path, trusted=types)
    return model


def _join(onnx: Any, inputs: dict[str, str]) -> None:
    """Let ``onnx`` take one matrix a kind: each input costs a request more than a column does."""
    from onnx import helper

    graph, splits = onnx.graph, []
    opset = next(opset.version for opset in onnx.opset_import if not opset.domain)
    elements = {entry.name: entry.type.tensor_type.elem_type for entry in graph.input}
    del graph.input[:]
    for kind in sorted({*inputs.values()}):
        columns = [name for name in inputs if inputs[name] == kind]
        matrix = f"columns:{kind}"  # no column has this name: it is no identifier
        size = len(columns)
        entry = helper.make_tensor_value_info(matrix, elements[columns[0]], [None, size])
        graph.input.append(entry)
        parts = {"num_outputs": size} if opset >= 18 else {}
        splits.append(helper.make_node("Split", [matrix], columns, axis=1, **parts))
        onnx.metadata_props.add(key=matrix, value=json.dumps(columns))
    nodes = [*splits, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _register(estimator: Any) -> None:
    """Teach skl2onnx the booster that the model ends in, if it is one."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    package = type(estimator).__module__.split(".")[0]
    if package not in BOOSTERS:
        return
    module, function = BOOSTERS[package]
    converter = import_module(f"onnxmltools.convert.{package}.operator_converters.{module}")
    classifier = hasattr(estimator, "predict_proba")
    update_registered_converter(
        type(estimator),
        f"{package}{type(estimator).__name__}",
        shape_calculator.calculate_linear_classifier_output_shapes
        if classifier
        else shape_calculator.calculate_linear_regressor_output_shapes,
        getattr(converter, function),
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]} if classifier else None,
    )
