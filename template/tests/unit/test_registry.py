"""The protocol, held against the registry that the project chose, and against the tests' own."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops import project, tracking
from mlops.errors import MlopsError
from mlops.lineage import git
from mlops.registry import Registry, Version, base, open_registry
from mlops.settings import load_settings

Publish = Callable[[], Version]


def digest(number: int) -> str:
    return hashlib.sha256(bytes([number])).hexdigest()


# A provider's own registry needs an account; the template proves it against the provider's API.
HERE = ["chosen", "memory"] if project.REGISTRY in ("mlflow", "gto") else ["memory"]


@pytest.fixture(params=HERE)
def registry(request: pytest.FixtureRequest, home: Path) -> Registry:
    if request.param == "memory":
        return request.getfixturevalue("memory")
    if project.REGISTRY == "gto":
        from dvc.repo import Repo

        Repo.init().close()
        Path("dvc.yaml").write_text("stages: {train: {cmd: train, outs: [models/candidate]}}")
    return open_registry(load_settings())


@pytest.fixture
def publish(registry: Registry, home: Path) -> Publish:
    """Return a function that commits a model of its own and registers it."""

    def publish() -> Version:
        number = len(registry.list()) + 1
        model, bundle = home / "models/candidate", home / "models/registry/next"
        (model / "content").write_text(f"model {number}")
        if (home / ".dvc").is_dir():
            from dvc.repo import Repo

            with Repo() as repo:
                repo.commit(force=True)
        shutil.copytree(model, bundle, dirs_exist_ok=True)
        (bundle / "gates.json").write_text(json.dumps({"passed": True, "number": number}))
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", f"model {number}")
        run = json.loads((model / "lineage.json").read_text())["run"]
        facts: dict[str, Any] = {"run": run, "digest": digest(number), "metric.loss": 0.5}
        return registry.register(bundle, facts | {"commit": git("rev-parse", "HEAD")})

    return publish


def test_the_protocol(registry: Registry, publish: Publish, home: Path) -> None:
    assert registry.list() == []
    assert registry.alias("challenger") is None
    made = [publish(), publish()]
    assert [one.number for one in registry.list()] == [one.number for one in made] == [1, 2]
    assert registry.list()[0].digest == digest(1)
    assert registry.list()[1].commit == git("rev-parse", "HEAD")
    assert registry.list()[0].tags["metric.loss"] == "0.5"

    registry.annotate(1, {"released.dev": "then"})
    registry.annotate(1, {"note": "fine"})
    assert {"released.dev": "then", "note": "fine"}.items() <= base.find(registry, 1).tags.items()

    folder = registry.get(1, home / "models/registry/1")
    assert (folder / "content").read_text() == "model 1"  # a number never changes its content
    assert json.loads((folder / "gates.json").read_text())["number"] == 1
    with pytest.raises(MlopsError):
        registry.get(9, home / "models/registry/9")
    with pytest.raises(MlopsError, match="no version 9: the registry holds 1, 2"):
        base.find(registry, 9)


def test_exactly_one_champion_an_environment(
    registry: Registry, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        publish()
    moments = iter("12345678")
    monkeypatch.setattr(base, "now", lambda: next(moments))
    for number, environment in [(1, "dev"), (1, "prod"), (2, "dev"), (3, "dev"), (1, "dev")]:
        base.promote(registry, number, environment)
    named = {version.number: version.aliases for version in registry.list()}
    assert named == {1: ["champion-dev", "champion-prod"], 2: [], 3: []}
    base.promote(registry, 2, "dev")
    assert [v.number for v in registry.list() if "champion-dev" in v.aliases] == [2]
    assert [v.number for v in base.released(registry, "dev", 9)] == [2, 1, 3]  # latest first
    assert [v.number for v in base.released(registry, "dev", 1)] == [2, 1]
    assert [v.number for v in base.released(registry, "prod", 9)] == [1]
    assert base.released(registry, "staging", 9) == []


@pytest.mark.skipif(project.REGISTRY != "mlflow", reason="the registry is in git")
def test_who_sees_the_file_sees_the_models(
    home: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, later = home.parent / "shared", home.parent / "later"
    for folder in (shared, later):
        folder.mkdir()
    shutil.copy(store, shared / "mlflow.db")
    monkeypatch.setenv("MLOPS_TRACKING_URI", f"sqlite:///{shared}/mlflow.db")
    settings = load_settings()
    run = tracking.Tracker.start("train", settings, {}, {}).run_id
    facts = {"run": run, "digest": digest(1), "commit": "c", "metric.loss": 0.5}
    open_registry(settings).register(home / "models/candidate", facts)
    shutil.rmtree(home)  # as a job's folder is gone after it
    monkeypatch.chdir(later)
    assert (open_registry(settings).get(1, later / "got") / "model.onnx").is_file()
