"""Versions, aliases and facts in each provider's registry, and in MLflow's."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from mlops.candidate import fetch
from mlops.errors import GateError, MlopsError
from mlops.lineage import sha256
from mlops.registry import Registry, open_registry
from mlops.registry.base import champion, find, promote, released
from mlops.settings import load_settings

from clouds.conftest import ENVIRONMENT, PLATFORMS

# MLflow's comes with Kubernetes too, which adds nothing of its own.
PROVIDERS = ["local", *(name for name in PLATFORMS if PLATFORMS[name][1] != "mlflow")]


@pytest.fixture
def registry(platform: Any) -> Registry:
    return open_registry(load_settings(ENVIRONMENT))


def made(folder: Path, number: int = 1) -> tuple[Path, dict[str, Any]]:
    """Return a model's folder, unlike any other, and its facts as `mlops register` has them."""
    (folder / "model").mkdir(parents=True)
    files = {
        "model.onnx": f"model {number}".encode() + bytes(range(256)) * 100,
        "gates.json": json.dumps({"number": number}).encode(),
        "report.html": "<p>Grüße, 東京</p>".encode(),
        "model/model.ubj": os.urandom(1000),
        "empty.txt": b"",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    facts = {
        "digest": sha256(folder / "model.onnx"),
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "branch": "feature/Größe #1",
        "run": "0" * 32,
        "lock": "f" * 64,
        "parent": 0,
        "reason": "new-data",
        "team": "Operations research & more, Zürich (A/B)",
        "gate": "passed",
        "signature": f"{number:064x}",
        "code": "c" * 64,
        "data.data/raw/2013-01.parquet": "d" * 32,
        **{f"data.data/raw/2013-{month:02}.parquet": "d" * 32 for month in range(2, 13)},
        **{f"metric.metric_{index}": index / 7 for index in range(20)},
        "metric.brier": 0.12345678901234568,
        "hypothesis": "long " * 200,
        "none": "",
    }
    return folder, facts


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def register(registry: Registry, tmp_path: Path, number: int = 1) -> dict[str, Any]:
    folder, facts = made(tmp_path / f"model-{number}", number)
    assert registry.register(folder, facts).number == number
    return facts


def test_nothing_is_there_at_first(registry: Registry, tmp_path: Path) -> None:
    assert registry.list() == []
    assert registry.alias("challenger") is None
    with pytest.raises(MlopsError):
        registry.get(1, tmp_path / "back")
    with pytest.raises(MlopsError):
        registry.annotate(1, {"a": "b"})
    with pytest.raises(MlopsError):
        registry.set_alias("challenger", 1)
    with pytest.raises(MlopsError):
        find(registry, 1)


def test_versions_are_numbered_from_one(registry: Registry, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        register(registry, tmp_path, number)
    assert [version.number for version in registry.list()] == [1, 2, 3]


def test_the_files_come_back_to_the_byte(registry: Registry, tmp_path: Path) -> None:
    for number in (1, 2):
        register(registry, tmp_path, number)
    back = tmp_path / "somewhere/back"
    back.mkdir(parents=True)
    (back / "old.txt").write_text("of before")
    for number in (1, 2, 1):
        assert registry.get(number, back) == back
        assert files(back) == files(tmp_path / f"model-{number}")


def test_all_facts_come_back_whatever_fits_the_platforms_tags(
    platform: Any, registry: Registry, tmp_path: Path
) -> None:
    facts = register(registry, tmp_path)
    wanted = {key: str(value) for key, value in facts.items()}
    for version in (
        registry.list()[0],
        find(open_registry(platform.settings()), 1),
    ):
        assert {key: version.tags.get(key) for key in wanted} == wanted
        assert (version.digest, version.commit) == (wanted["digest"], wanted["commit"])
        assert version.created.startswith("20")


def test_an_alias_names_one_version_at_a_time(registry: Registry, tmp_path: Path) -> None:
    for number in (1, 2):
        register(registry, tmp_path, number)
    for number in (1, 2, 1, 1):
        registry.set_alias("champion-prod", number)
        registry.set_alias("challenger", 3 - number)
        named = registry.alias("champion-prod")
        assert named
        assert named == find(registry, number)
        assert "champion-prod" in named.aliases
        shown = {one.number: one.aliases for one in registry.list()}
        assert shown == {number: ["champion-prod"], 3 - number: ["challenger"]}


def test_a_version_has_all_its_aliases(registry: Registry, tmp_path: Path) -> None:
    register(registry, tmp_path)
    names = ["challenger", "champion-dev", "champion-prod", "champion-staging"]
    for name in reversed(names):
        registry.set_alias(name, 1)
    assert registry.list()[0].aliases == names


def test_facts_that_are_added_leave_the_others(registry: Registry, tmp_path: Path) -> None:
    facts = register(registry, tmp_path)
    registry.annotate(1, {"released.prod": "2026-01-01T00:00:00+00:00", "tag.compliance": "ok"})
    registry.annotate(1, {"tag.compliance.by": "Zoë <zoe@example.com>", "tag.compliance": "yes"})
    tags = find(registry, 1).tags
    assert tags["released.prod"] == "2026-01-01T00:00:00+00:00"
    assert tags["tag.compliance"] == "yes"
    assert tags["tag.compliance.by"] == "Zoë <zoe@example.com>"
    assert tags["signature"] == facts["signature"]
    assert tags["hypothesis"] == facts["hypothesis"]
    assert files(registry.get(1, tmp_path / "back")) == files(tmp_path / "model-1")


def test_facts_are_no_aliases(registry: Registry, tmp_path: Path) -> None:
    facts = register(registry, tmp_path)
    registry.set_alias("challenger", 1)
    assert find(registry, 1).tags.keys() == facts.keys()


def test_two_who_write_at_once_lose_nothing(
    platform: Any, registry: Registry, tmp_path: Path
) -> None:
    register(registry, tmp_path)
    refused: list[MlopsError] = []

    def write(number: int) -> None:
        mine = open_registry(platform.settings())
        try:
            mine.register(*made(tmp_path / f"model-{number}", number))
        except MlopsError as error:  # the number was taken meanwhile: nothing of it is there
            refused.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = registry.list()
    assert [one.number for one in versions] == list(range(1, 5 - len(refused)))
    for version in versions:
        back = registry.get(version.number, tmp_path / "back")
        assert sha256(back / "model.onnx") == version.digest, version.number
        written = int(version.tags["signature"], 16)
        assert files(back) == files(tmp_path / f"model-{written}")


def test_the_champion_of_one_environment_goes_on_to_the_next(
    platform: Any, registry: Registry, tmp_path: Path
) -> None:
    for number in (1, 2):
        register(registry, tmp_path, number)
    promote(registry, 1, "staging")
    promote(registry, 1, "prod")
    promote(registry, 2, "staging")
    there = open_registry(load_settings("prod"))
    assert there.alias(champion("prod")) == find(registry, 1)
    came = there.alias(champion("staging"))
    assert came
    assert came.number == 2
    promote(there, 2, "prod")
    assert [one.number for one in released(registry, "prod", 5)] == [2, 1]


def test_a_release_fetches_the_very_model(registry: Registry, tmp_path: Path) -> None:
    register(registry, tmp_path)
    assert files(fetch(1)) == files(tmp_path / "model-1")
    registry.annotate(1, {"digest": "0" * 64})  # as if the files had been replaced
    with pytest.raises(GateError, match="not the model that was registered"):
        fetch(1)


# What a platform refuses -----------------------------------------------------


def doings(platform: Any, tmp_path: Path) -> list[str]:
    """Return the names of the calls that a version's registration makes, storage left aside."""
    registry = open_registry(platform.settings())
    register(registry, tmp_path / "first")
    registry.set_alias("challenger", 1)
    registry.annotate(1, {"tag.a": "b"})
    platform.calls.clear()  # what is made once only is there by now
    registry.register(*made(tmp_path / "second", 2))
    registry.set_alias("challenger", 2)
    registry.annotate(2, {"tag.a": "b"})
    found = list(dict.fromkeys(platform.calls))
    platform.reset()
    return found


@pytest.fixture
def cloud(platform: Any) -> Any:
    if platform.provider == "local":
        pytest.skip("a file refuses nothing")
    return platform


def test_a_registry_that_throttles_is_waited_for(cloud: Any, tmp_path: Path) -> None:
    names = doings(cloud, tmp_path)
    assert names
    for turn, name in enumerate(names):
        cloud.reset()
        cloud.fail(name, 1, "throttle")
        registry = open_registry(cloud.settings())
        register(registry, tmp_path / str(turn))
        registry.set_alias("challenger", 1)
        registry.annotate(1, {"tag.a": "b"})
        shown = registry.list()[0]
        assert (shown.aliases, shown.tags["tag.a"]) == (["challenger"], "b"), name


def write(registry: Registry, folder: Path, facts: dict[str, Any]) -> None:
    """Make the calls of :func:`doings`, of which one is refused."""
    registry.register(folder, facts)
    registry.set_alias("challenger", 2)
    registry.annotate(2, {"tag.a": "b"})


@pytest.mark.parametrize("kind", ["error", "expired", "denied", "quota"])
def test_what_a_registry_refuses_is_said_and_leaves_nothing(
    cloud: Any, tmp_path: Path, kind: str
) -> None:
    for turn, name in enumerate(doings(cloud, tmp_path)):
        cloud.reset()
        registry = open_registry(cloud.settings())
        register(registry, tmp_path / f"{turn}-before")
        before = sorted(cloud.left())
        cloud.fail(name, 1000, kind)
        folder, facts = made(tmp_path / f"{turn}-after", 2)
        with pytest.raises(MlopsError) as refused:
            write(registry, folder, facts)
        said = f"{kind} of {name}: {refused.value}"
        assert f"environments/{ENVIRONMENT}.yaml" in said
        cloud.fail(name, 0, kind)
        if len(registry.list()) == 1:
            assert sorted(cloud.left()) == before, said
            assert registry.register(folder, facts).number == 2
        assert files(registry.get(2, tmp_path / "back")) == files(folder)
