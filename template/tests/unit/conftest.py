"""A toy in the team's place, so that the machinery's tests outlive any change to the team's code.

``home`` is a project of its own in which the toy was trained and judged; each test has a copy.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pydantic import ValidationError
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from mlops import candidate, lineage, pipeline, project, versions
from mlops.contract import Contract
from mlops.errors import MlopsError
from mlops.registry import Version
from mlops.settings import Paths, load_params

PARAMS = """seed: 7 # of all
data: {first: p1, last: p4, sample: 1.0}
model: {strength: 1.0}
tune: {trials: 2, space: {strength: [0.01, 10.0, log]}}
"""
GATES = """data: {min_rows: 50, max_null_share: 0.5, skew: 0.3}
absolute: {accuracy: {min: 0.6}}
baseline: {min_gain: 0.1}
champion: {tolerance: 0.01, released: 2}
slices: {min_rows: 20, tolerance: 0.05}
robustness: {missing: 1, noise: 1, unseen: 9, extreme: 99}
parity: {tolerance: 0.0001}
footprint: {max_mb: 5, max_memory_mb: 900, max_p99_ms: 90, vs_champion: 99, new_dependencies: 0}
"""


class Inputs(pa.DataFrameModel):
    colour: str = pa.Field(isin=["red", "blue"])
    size: float = pa.Field(ge=0, le=10, nullable=True)
    count: int = pa.Field(ge=0, le=9, metadata={"skew": False})


class Records(Inputs):
    key: int
    shop: str
    bought: float = pa.Field(isin=[0, 1], nullable=True)

    class Config:
        strict = True
        unique = ["key"]  # noqa: RUF012


def load(period: str) -> pd.DataFrame:
    rng = np.random.default_rng(int(period[1:]))
    size = rng.uniform(0, 10, 120).round(2)
    records = pd.DataFrame({
        "colour": rng.choice(["red", "blue"], 120),
        "size": np.where(rng.random(120) < 0.05, np.nan, size),
        "count": rng.integers(0, 10, 120),
        "key": np.arange(120),
        "shop": rng.choice(["north", "south"], 120),
        "bought": (size + rng.normal(0, 2, 120) > 5).astype(float),
    })  # fmt: skip
    return records.assign(bought=records["bought"].mask(records["key"] == 0))


def build(params: dict[str, Any], seed: int) -> Pipeline:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    steps = [("text", encoder, ["colour"]), ("number", SimpleImputer(), ["size", "count"])]
    estimator = LogisticRegression(C=params.get("strength", 1.0), random_state=seed)
    return Pipeline([("features", ColumnTransformer(steps)), ("model", estimator)])


def fit(
    model: Pipeline, X: pd.DataFrame, y: Any, X_valid: pd.DataFrame, y_valid: Any, parent: Any
) -> dict[str, list[float]]:
    model.fit(X, y)
    parts = {"train": (X, y), "valid": (X_valid, y_valid)}
    return {k: [float(loss(t, model.predict_proba(f)[:, 1]).mean())] for k, (f, t) in parts.items()}


def loss(y: Any, prediction: Any) -> Any:
    p = np.clip(prediction, 1e-7, 1 - 1e-7)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


TOY = {
    "data": SimpleNamespace(periods=lambda: [f"p{n}" for n in range(1, 6)], load=load),
    "schema": SimpleNamespace(Inputs=Inputs, Records=Records),
    "features": SimpleNamespace(SLICES=["shop"], target=lambda records: records["bought"]),
    "model": SimpleNamespace(
        build=build,
        fit=fit,
        loss=loss,
        metrics=lambda y, p: {"accuracy": float(np.mean((p > 0.5) == (y > 0.5)))},
    ),
    "TASK": "classification",
    "SERVING": ["online"],
}


def _toy(patch: pytest.MonkeyPatch) -> None:
    for name, value in TOY.items():
        patch.setattr(project, name, value)


def _enter(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.chdir(folder)
    patch.setenv("MLOPS_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the toy in the team's place."""
    _toy(monkeypatch)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, settle: Callable[[Path], Path]) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "gates.yaml").write_text(GATES)
    settle(folder)
    with pytest.MonkeyPatch.context() as patch:
        _toy(patch)
        _enter(patch, folder)
        pipeline.run(load_params(), Paths())
        patch.setattr(candidate, "open_registry", lambda settings: Memory(folder))
        assert candidate.judge(Paths()).passed
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained project of the test's own; it is the working folder."""
    folder = shutil.copytree(trained, tmp_path / "home")
    _enter(monkeypatch, folder)
    return folder


@pytest.fixture
def taken() -> Callable[[Contract, Any], bool]:
    """Tell whether the server would answer a record."""

    def answered(contract: Contract, record: Any) -> bool:
        schema = pytest.importorskip("mlops.serve.schema", reason="nothing is served online")
        try:
            schema.Schema(contract, 1).records.model_validate({"records": [record]})
        except ValidationError:
            return False
        return True

    return answered


class Memory:
    """A registry in a dictionary."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made, self.names = folder, dict[int, Version](), dict[str, int]()

    def register(self, folder: Path, facts: dict[str, Any]) -> Version:
        number = len(self.made) + 1
        shutil.copytree(folder, self.folder / str(number))
        texts = {key: str(value) for key, value in facts.items()}
        self.made[number] = Version(
            number=number,
            digest=facts["digest"],
            created=lineage.now(),
            commit=facts["commit"],
            tags=texts,
        )
        return self.made[number]

    def get(self, number: int, folder: Path) -> Path:
        if number not in self.made:
            raise MlopsError(f"There is no version {number}.")
        shutil.rmtree(folder, ignore_errors=True)
        return shutil.copytree(self.folder / str(number), folder)

    def list(self) -> list[Version]:
        named = {n: sorted(a for a, to in self.names.items() if to == n) for n in self.made}
        return [v.model_copy(update={"aliases": named[n]}) for n, v in self.made.items()]

    def set_alias(self, alias: str, number: int) -> None:
        self.names[alias] = number

    def alias(self, alias: str) -> Version | None:
        return next((v for v in self.list() if v.number == self.names.get(alias)), None)

    def annotate(self, number: int, tags: dict[str, str]) -> None:
        self.made[number].tags.update(tags)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """A registry that costs nothing, in the chosen one's place."""
    registry = Memory(tmp_path / "registry")
    for module in (candidate, versions):
        monkeypatch.setattr(module, "open_registry", lambda settings: registry)
    return registry
