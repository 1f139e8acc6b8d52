"""The registry in git tags: the same path as with MLflow, and on to a clean clone."""

import hashlib
from pathlib import Path

import pytest
from conftest import Project, start
from test_faults import aliases

pytestmark = pytest.mark.long


def test_versions_in_git_tags(tmp_path: Path) -> None:
    project = start(tmp_path / "flight-delays", registry="gto")
    project.write("params.yaml", ("first: 2013-01", "first: 2013-04"), ("2013-08", "2013-07"))
    assert "accepted by" in project.mlops("candidate")
    project.commit("First model")
    assert "Version 1, challenger, champion-dev" in project.mlops("register")

    project.write("params.yaml", ("first: 2013-04", "first: 2013-02"))
    assert "accepted by" in project.mlops("candidate")
    assert "Not committed: " in project.mlops("register", fails=True)
    project.commit("More months")
    for _ in range(2):
        assert "Version 2, challenger" in project.mlops("register")
    assert aliases(project) == {"1": ["champion-dev"], "2": ["challenger"]}
    assert "prod is protected" in project.mlops("promote", "2", "--env", "prod", fails=True)
    project.mlops("promote", "2")
    now = {"1": [], "2": ["challenger", "champion-dev"]}
    assert aliases(project) == now
    assert "made again: the same model" in project.mlops("model", "recreate", "2")
    assert "Version 2 passed" in project.mlops("model", "validate", "2")

    remote = tmp_path / "remote.git"
    project.run("git", "init", "--quiet", "--bare", str(remote))
    project.run("dvc", "push")
    references = ["main", "refs/notes/*:refs/notes/*"]
    project.run("git", "push", "--quiet", "--tags", str(remote), *references)

    clone = Project(tmp_path / "clone", project.environment)
    project.run("git", "clone", "--quiet", "--branch", "main", str(remote), str(clone.root))
    clone.run("git", "fetch", "--quiet", "origin", "refs/notes/*:refs/notes/*")
    assert aliases(clone) == now
    key = (project.root / ".secrets/gate.key").read_text()
    assert "record.signature" in clone.mlops("model", "validate", "2", fails=True)
    clone.mlops("model", "validate", "2", variables={"MLOPS_SIGNING_KEY": key})
    (fetched,) = (clone.root / "models/registry").glob("2-*/model.onnx")
    digest = hashlib.sha256(fetched.read_bytes()).hexdigest()[:12]
    assert digest in clone.mlops("model", "list").splitlines()[2]
    assert "released.dev" in clone.mlops("model", "lineage", "2")
