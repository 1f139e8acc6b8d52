from pathlib import Path

import pytest

from mlops import lineage
from mlops.errors import MlopsError
from mlops.lineage import Lineage
from mlops.settings import Paths, Settings, load_params


def test_golden_facts_of_a_project(home: Path) -> None:
    text = '[[package]]\nname = "a"\nversion = "1.2"\n[[package]]\nname = "itself"\n'
    Path("uv.lock").write_text(text)
    facts = lineage.environment(load_params(), Paths(), Settings(image="python:3.13"))
    assert facts["data"] == {"raw": "11aa.dir", "prepared": "22bb.dir"}
    assert facts["dependencies"] == {"a": "1.2"}
    assert facts["lock"] == lineage.sha256(Path("uv.lock"))
    assert (facts["git"].branch, len(facts["git"].commit)) == ("main", 40)
    assert (facts["compute"].image, facts["params"]["model"]) == ("python:3.13", {"strength": 1.0})


def test_dirty_means_the_code_and_not_the_pipelines_outputs(home: Path) -> None:
    assert not lineage.git_state().dirty
    Path("dvc.lock").write_text("stages: {}")
    assert not lineage.git_state().dirty
    Path("new.py").touch()
    assert lineage.git_state().dirty


def test_outside_git_the_commit_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    state = lineage.git_state(tmp_path)
    assert (state.commit, state.dirty) == ("", True)


def test_data_versions_as_of_a_revision(home: Path) -> None:
    Path("dvc.lock").unlink()
    assert lineage.data_versions() == {}
    assert lineage.data_versions(revision="HEAD")["raw"] == "11aa.dir"
    with pytest.raises(MlopsError, match=r"git show nowhere:dvc.lock"):
        lineage.data_versions(revision="nowhere")


def test_a_lineage_survives_writing(home: Path, tmp_path: Path) -> None:
    read = Lineage.read(home / "models/candidate")
    assert read.digest == lineage.sha256(home / "models/candidate/model.onnx")
    assert read.periods == {"train": ["p1", "p2"], "valid": ["p3"], "test": ["p4"]}
    read.write(tmp_path)
    assert Lineage.read(tmp_path) == read
    with pytest.raises(MlopsError, match=r"nothing holds no model .*make pipeline"):
        Lineage.read(Path("nothing"))
