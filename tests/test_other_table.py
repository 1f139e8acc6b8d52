"""Another table in the flights' place: only the team's own files change, and all still works."""

import shutil
from pathlib import Path

import pytest
from conftest import Project, render

pytestmark = pytest.mark.long

DATA = '''"""Scikit-learn's table, cut into five periods."""

import pandas as pd
from sklearn.datasets import {load} as table


def periods() -> list[str]:
    return [f"part-{{number}}" for number in range(5)]


def load(period: str) -> pd.DataFrame:
    records = table(as_frame=True).frame[{columns!r}]
    records.columns = [name.replace(" ", "_") for name in records]
    mixed = records.sample(frac=1, random_state=0)
    return mixed.iloc[int(period[-1]) :: 5].reset_index(drop=True)
'''
SCHEMA = '''"""Measurements."""

import pandera.pandas as pa


class Inputs(pa.DataFrameModel):
{fields}

class Records(Inputs):
    target: {target}

    class Config:
        strict = True
'''
FEATURES = '''"""Measurements, gaps filled."""

import pandas as pd
from sklearn.impute import SimpleImputer

SLICES: list[str] = []


def target(records: pd.DataFrame) -> pd.Series:
    return records["target"]


def build() -> SimpleImputer:
    return SimpleImputer()
'''
MODEL = '''"""A forest."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import {estimator}
from sklearn.metrics import {metric}
from sklearn.pipeline import Pipeline

from . import features

Array = NDArray[np.floating[Any]]


def build(params: dict[str, Any], seed: int) -> Pipeline:
    forest = {estimator}(random_state=seed, **params)
    return Pipeline([("features", features.build()), ("model", forest)])


def fit(
    model: Pipeline,
    X: pd.DataFrame,
    y: Array,
    X_valid: pd.DataFrame,
    y_valid: Array,
    parent: Pipeline | None = None,
) -> dict[str, list[float]]:
    model.fit(X, y)
    return {{}}


def loss(y: Array, prediction: Array) -> Array:
    return np.asarray({loss})


def metrics(y: Array, prediction: Array) -> dict[str, float]:
    return {{"{metric}": float({metric}({reached}))}}
'''
PARAMS = """seed: 1
data: { first: part-0, last: part-4 }
split: { valid: 1, test: 1 }
train: { parent: 0, hypothesis: "" }
model: { n_estimators: 100, min_samples_leaf: 2 }
"""

MEAN = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "symmetry"]
WINE = ["alcohol", "malic_acid", "ash", "flavanoids", "color_intensity", "hue", "proline"]
CLASSES = {"estimator": "RandomForestClassifier", "metric": "accuracy_score"}
TABLES: dict[str, dict[str, str | list[str]]] = {
    "breast_cancer": {
        "task": "classification",
        "columns": [f"mean {name}" for name in MEAN],
        "field": "float = pa.Field(ge=0, le=3000)",
        "target": "int = pa.Field(isin=[0, 1])",
        "loss": "-np.log(np.clip(np.where(y == 1, prediction, 1 - prediction), 1e-3, 1))",
        "reached": "y, prediction > 0.5",
        "limit": "accuracy_score: { min: 0.85 }",
        **CLASSES,
    },
    "wine": {
        "task": "classification",
        "columns": list(WINE),
        "field": "float = pa.Field(ge=0, le=3000)",
        "target": "int = pa.Field(isin=[0, 1, 2])",
        "loss": "-np.log(np.clip(prediction[np.arange(len(y)), y.astype(int)], 1e-3, 1))",
        "reached": "y, prediction.argmax(axis=1)",
        "limit": "accuracy_score: { min: 0.85 }",
        **CLASSES,
    },
    "diabetes": {
        "task": "regression",
        "columns": ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"],
        "field": "float = pa.Field(ge=-1, le=1)",
        "target": "float = pa.Field(ge=0, le=400)",
        "loss": "(y - prediction) ** 2",
        "reached": "y, prediction",
        "limit": "r2_score: { min: 0.2 }",
        "estimator": "RandomForestRegressor",
        "metric": "r2_score",
    },
}


@pytest.mark.parametrize("name", TABLES)
def test_another_table_needs_the_teams_files_only(
    installed: Project, tmp_path: Path, name: str
) -> None:
    table = TABLES[name]
    project = Project(tmp_path / "flight-delays", installed.environment)
    render(project.root, task=table["task"])
    shutil.copy(installed.root / "uv.lock", project.root)
    for command in (["init", "-q"], ["config", "user.name", "T"], ["config", "user.email", "t@x"]):
        project.run("git", *command)
    project.commit("Start")

    package = project.root / "src/flight_delays"
    columns = table["columns"]
    names = [column.replace(" ", "_") for column in columns]
    fields = "".join(f"    {column}: {table['field']}\n" for column in names)
    load = DATA.format(load=f"load_{name}", columns=[*columns, "target"])
    (package / "data.py").write_text(load)
    (package / "schema.py").write_text(SCHEMA.format(fields=fields, target=table["target"]))
    (package / "features.py").write_text(FEATURES)
    (package / "model.py").write_text(MODEL.format(**table))
    (project.root / "params.yaml").write_text(PARAMS)
    limits = (project.root / "gates.yaml").read_text()
    start, end = limits.index("absolute:"), limits.index("\nbaseline:")
    limits = f"{limits[:start]}absolute: {{ {table['limit']} }}\n{limits[end:]}"
    limits = limits.replace("min_rows: 200", "min_rows: 30").replace("skew: 0.2", "skew: 0.5")
    (project.root / "gates.yaml").write_text(limits)
    shutil.rmtree(project.root / "tests/flight_delays", ignore_errors=True)

    changed = project.run("git", "diff", "--name-only").split()
    own = ("src/flight_delays/", "tests/flight_delays/", "params.yaml", "gates.yaml")
    assert all(path.startswith(own) for path in changed), changed
    assert project.run("git", "ls-files", "--others", "--exclude-standard") == ""

    assert "accepted by" in project.mlops("candidate")
    project.commit("Another table")
    assert "Version 1, challenger, champion-dev" in project.mlops("register")
    project.mlops("model", "validate", "1")
    assert "Success" in project.run("mypy", "--cache-dir", str(tmp_path.parent / "mypy"))
    assert "3 kept, 0 broken" in project.run("lint-imports")
