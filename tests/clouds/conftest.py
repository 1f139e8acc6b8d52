"""What the suites start with: each provider's emulator or fake, and a project that points there."""

import os
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlops import project

from clouds.servers import write_model

# The SDK that each provider's adapter needs, and the registry that comes with it.
PLATFORMS = {
    "aws": ("boto3", "sagemaker"),
    "azure": ("azure.ai.ml", "azureml"),
    "gcp": ("google.cloud.aiplatform", "vertex"),
    "kubernetes": ("kubernetes", "mlflow"),
}
LOCAL = ("mlflow", "mlflow")
ENVIRONMENT = "prod"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a platform on each of them, unless it names them itself."""
    own = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "provider" in metafunc.fixturenames and not any("provider" in names for names in own):
        only = getattr(metafunc.module, "PROVIDERS", PLATFORMS)
        metafunc.parametrize("provider", list(only), scope="session")


@pytest.fixture(scope="session")
def started(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return the provider's platform, started once."""
    sdk = PLATFORMS.get(provider, LOCAL)[0]
    if not _installed(sdk) and not os.environ.get("CI"):
        pytest.skip(f"{sdk} is not installed")
    platform = import_module(f"clouds.{provider}").Platform(tmp_path_factory.mktemp(provider))
    try:
        yield platform
    finally:
        platform.close()


@pytest.fixture
def platform(started: Any, provider: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return the provider's platform with nothing on it, in a project whose prod is there."""
    started.reset()
    for name, value in started.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLOPS_ENV", ENVIRONMENT)
    monkeypatch.setattr(project, "PROVIDER", provider)
    monkeypatch.setattr(project, "REGISTRY", PLATFORMS.get(provider, LOCAL)[1])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments").mkdir()
    content = started.settings().model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(content)
    for name in project.ENVIRONMENTS:
        (tmp_path / f"environments/{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "gates.yaml").write_text(_gates(), encoding="utf-8")
    return started


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Return the folders of three versions, which answer as clouds.servers do."""
    folder = tmp_path_factory.mktemp("models")
    return {number: write_model(folder / str(number), number) for number in (1, 2, 3)}


def _gates() -> str:
    """Return the one gate that a release reads."""
    shares = {"missing": 1.0, "noise": 1.0, "unseen": 1.0, "extreme": 1.0}
    content = {
        "data": {"min_rows": 1, "max_null_share": 1.0, "skew": 1.0},
        "absolute": {},
        "baseline": {"min_gain": 0.0},
        "champion": {"tolerance": 0.0},
        "slices": {"min_rows": 1, "tolerance": 0.0},
        "robustness": shares,
        "parity": {"tolerance": 1.0},
        "footprint": {
            "max_mb": 1.0,
            "max_memory_mb": 1.0,
            "max_p99_ms": 1.0,
            "vs_champion": 1.0,
            "new_dependencies": 0,
        },
        "contract": {"breaking": 0},
    }
    return yaml.safe_dump(content)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
