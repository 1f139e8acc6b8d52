import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from mlops import candidate, gates
from mlops.errors import GateError, MlopsError, PipelineError
from mlops.lineage import sha256
from mlops.settings import Paths, Settings, edit_params, load_params


@pytest.fixture
def judged(home: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """The accepted candidate, in a project where all is committed."""
    monkeypatch.setattr(candidate, "committed", lambda: None)
    return Paths()


def test_the_accepted_candidate_becomes_challenger_and_first_champion(
    judged: Paths, memory: Any
) -> None:
    made = candidate.register(judged)
    assert (made.number, made.aliases) == (1, ["challenger", "champion-dev"])
    assert candidate.register(judged).number == 1  # the same model is not registered twice
    memory.made[1].tags["code"] = "older"
    assert candidate.register(judged).number == 2  # but under a verdict of other code it is another
    assert made.tags["gate"] == "passed"
    assert made.tags["data.raw"] == "11aa.dir"
    assert candidate.verify_version(1).passed
    kept = {path.name for path in candidate.fetch(1).iterdir()}
    assert {"model.onnx", "lineage.json", "gates.json", "report.html"} <= kept


def _refused(paths: Paths) -> None:
    record = json.loads(paths.gates.read_text())
    signed = gates.Record(**record | {"passed": False}).sign(gates.signing_key(Settings()))
    paths.gates.write_text(signed.model_dump_json())


def _other_code(paths: Paths) -> None:
    record = json.loads(paths.gates.read_text())
    signed = gates.Record(**record | {"code": "older"}).sign(gates.signing_key(Settings()))
    paths.gates.write_text(signed.model_dump_json())


def _other_data(paths: Paths) -> None:
    rows = pd.read_parquet(paths.prepared / "test.parquet")
    rows.head(50).to_parquet(paths.prepared / "test.parquet")


SPOILED = {
    "record.missing": lambda paths: paths.gates.unlink(),
    "record.signature: the gate record is unreadable": lambda paths: paths.gates.write_text("{"),
    "record.signature: the gate record was edited": lambda paths: paths.gates.write_text(
        paths.gates.read_text().replace('"limit": 0.6', '"limit": 0.5')
    ),
    "record.model": lambda paths: (paths.model / "model.onnx").write_bytes(b"another"),
    "record.data": _other_data,
    "record.gates": lambda paths: Path("gates.yaml").write_text(
        Path("gates.yaml").read_text().replace("min: 0.6", "min: 0.9")
    ),
    "record.code: uncertified": _other_code,
    "The challenger is refused": _refused,
}


@pytest.mark.parametrize("message", SPOILED)
def test_no_register_without_a_genuine_current_pass(judged: Paths, message: str) -> None:
    SPOILED[message](judged)
    with pytest.raises(GateError, match=message):
        candidate.register(judged)


def test_a_record_against_an_earlier_champion_is_stale(judged: Paths, memory: Any) -> None:
    candidate.register(judged)
    memory.made[1].digest = "another"
    with pytest.raises(GateError, match=r"record.champion: .* champion None, which is now 1"):
        candidate.verified(judged)


def test_promotion_by_hand_stops_at_protected_environments(judged: Paths, memory: Any) -> None:
    candidate.register(judged)
    memory.names.clear()
    assert candidate.promote(1, "dev").aliases == ["champion-dev"]
    with pytest.raises(MlopsError, match="prod is protected"):
        candidate.promote(1, "prod")
    (memory.folder / "1/model.onnx").write_bytes(b"another")
    shutil.rmtree(candidate.CACHE)
    with pytest.raises(GateError, match=r"record.model"):
        candidate.promote(1, "dev")


def test_what_was_fetched_before_is_used_only_while_it_is_the_versions(
    judged: Paths, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate.register(judged)
    (candidate.fetch(1) / "model.onnx").write_bytes(b"damaged")
    assert sha256(candidate.fetch(1) / "model.onnx") == memory.made[1].digest

    # Another registry's version 1, and a download that breaks off on the way.
    (memory.folder / "1/model.onnx").write_bytes(b"another")
    memory.made[1].digest = sha256(memory.folder / "1/model.onnx")
    memory.made[1].tags["signature"] = "another"

    def break_off(number: int, folder: Path) -> Path:
        folder.mkdir()
        (folder / "lineage.json").write_text("{}")
        raise MlopsError("The line went dead.")

    with monkeypatch.context() as patch:
        patch.setattr(memory, "get", break_off)
        with pytest.raises(MlopsError, match="line went dead"):
            candidate.fetch(1)
    assert (candidate.fetch(1) / "model.onnx").read_bytes() == b"another"


def test_what_is_not_committed_is_named(home: Path) -> None:
    Path("params.yaml").write_text("seed: 8")
    with pytest.raises(MlopsError, match=r"Not committed: params.yaml.*git commit"):
        candidate.committed()


def test_new_data_comes_period_by_period(home: Path) -> None:
    assert candidate.following("") == "p5"
    edit_params("data", {"last": "p5"})
    with pytest.raises(MlopsError, match="holds nothing after p5"):
        candidate.following("")


def test_a_failed_attempt_leaves_params_as_they_were(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Path("params.yaml").read_text()

    def fail() -> None:
        assert load_params().data.last == "p5"
        raise PipelineError("no", 3)

    monkeypatch.setattr(candidate, "reproduce", fail)
    with pytest.raises(PipelineError):
        candidate.attempt(data={"last": "p5"})
    assert Path("params.yaml").read_text() == before
    monkeypatch.setattr(candidate, "reproduce", lambda: None)
    candidate.attempt(data={"last": "p5"})
    assert load_params().data.last == "p5"


def test_refining_starts_from_the_champion(judged: Paths, memory: Any) -> None:
    with pytest.raises(MlopsError, match="no champion to start from"):
        candidate.champion_number()
    candidate.register(judged)
    assert candidate.champion_number() == 1


def test_a_failed_pipeline_keeps_its_stages_exit_code(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repro(command: list[str], timeout: int | None, check: bool) -> Any:
        if timeout:
            raise subprocess.TimeoutExpired(command, timeout)
        Path("logs").mkdir(exist_ok=True)
        Path("logs/failure.json").write_text('{"message": "validate: bad", "exit_code": 3}')
        return SimpleNamespace(returncode=255)

    monkeypatch.setattr(subprocess, "run", repro)
    for timeout, code in [(None, 3), (5, 124)]:
        with pytest.raises(PipelineError) as refusal:
            candidate.reproduce(timeout)
        assert refusal.value.exit_code == code


def test_conversion_repeats_to_the_bit(home: Path) -> None:
    assert "converted again to the same" in candidate.convert_again(Paths().model)
    with (Paths().model / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(MlopsError, match="is not what its trained form converts to"):
        candidate.convert_again(Paths().model)


def test_a_sample_leaves_the_project_alone(home: Path) -> None:
    before = (Paths().model / "lineage.json").read_bytes()
    folder = candidate.sample(0.5)
    assert json.loads((folder / "reports/metrics.json").read_text())["rows"] == 60
    assert (Paths().model / "lineage.json").read_bytes() == before
