"""What is refused before any data is read; tests/integration/test_replicate.py makes a replica."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mlops import project, replicate
from mlops.errors import MlopsError
from mlops.lineage import git

KEY = "k" * 32


@pytest.fixture(autouse=True)
def untouched(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project with a key and a mask, of which nothing may be read or written."""
    for name, remote in {"dev": "storage", "prod": "production"}.items():
        path = Path(f"environments/{name}.yaml")
        lines = [line for line in path.read_text().splitlines() if not line.startswith("remote:")]
        path.write_text("\n".join([*lines, f"remote: {remote}\n"]))
    monkeypatch.setenv("MLOPS_MASK_KEY", KEY)
    mark(monkeypatch, {"mask": "hash"})
    asked = [["status", "--porcelain", "--ignored"], ["tag"], ["worktree", "list"]]
    before = [git(*command) for command in asked]
    yield
    assert [git(*command) for command in asked] == before


def mark(monkeypatch: pytest.MonkeyPatch, metadata: dict[str, Any]) -> None:
    schema = deepcopy(project.schema.Records.to_schema())  # pandera keeps the one it has made
    schema.columns["shop"].metadata = metadata
    monkeypatch.setattr(project.schema.Records, "to_schema", lambda: schema)


@pytest.mark.parametrize("key", ["", "guess", "k" * 31])
def test_no_replica_without_a_key(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_MASK_KEY", key)
    with pytest.raises(MlopsError, match=f"MLOPS_MASK_KEY has {len(key)} characters"):
        replicate.replicate("prod")


def test_a_personal_column_without_a_mask_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    mark(monkeypatch, {"personal": True})
    with pytest.raises(MlopsError, match="shop: mask is None"):
        replicate.replicate("prod")


def test_only_the_last_environments_data_is_copied() -> None:
    with pytest.raises(MlopsError, match="The replica is of prod's data, not of dev's"):
        replicate.replicate("dev")


def test_unmasked_data_may_not_go_to_the_replicas_remote() -> None:
    path = Path("environments/prod.yaml")
    given = path.read_text()
    path.write_text(given.replace("remote: production", "remote: replica"))
    with pytest.raises(MlopsError, match="remote is 'replica', which others read"):
        replicate.replicate("prod")
    path.write_text(given)
