import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from mlops.contract import Contract
from mlops.errors import MlopsError
from mlops.scorer import Scorer
from mlops.serve import edge
from mlops.serve.edge import run, score
from mlops.settings import Settings

KEY = bytes(range(32))
MODEL = Path("models/candidate")
GOOD = {"colour": "red", "size": 1.0, "count": 3}


@pytest.fixture
def bundle(home: Path) -> Path:
    edge.kit(Path("device"), KEY)
    return edge.bundle(MODEL, 3, Path("out/toy-3.zip"), KEY)


def public() -> bytes:
    return bytes.fromhex(Path("device/edge.pub").read_text())


def rewrite(bundle: Path, changes: Mapping[str, bytes | None]) -> None:
    """Change, add or take out files."""
    with zipfile.ZipFile(bundle) as file:
        files: dict[str, bytes | None] = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(bundle, "w") as file:
        for name, content in (files | dict(changes)).items():
            if content is not None:
                file.writestr(name, content)


def test_the_same_model_gives_the_same_bytes(bundle: Path) -> None:
    again = edge.bundle(MODEL, 3, Path("out/again.zip"), KEY)
    assert again.read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(bundle) as file:
        assert {entry.date_time[0] for entry in file.infolist()} == {1980}  # whenever it is made
    manifest, files = run.read(bundle, public())
    assert (manifest["name"], manifest["version"]) == (Contract.read(MODEL).name, 3)
    assert files["model.onnx"] == (MODEL / "model.onnx").read_bytes()
    assert [path.name for path in Path("out").iterdir() if "unfinished" in path.name] == []


@pytest.mark.parametrize(
    "name", ["README.md", "contract.json", "model.onnx", "score.py", "scorer.py"]
)
def test_an_edited_file_is_refused_by_its_name(bundle: Path, name: str) -> None:
    _, files = run.read(bundle, public())
    rewrite(bundle, {name: files[name] + b" "})
    with pytest.raises(run.BundleError, match=f"^{name}: edited"):
        run.read(bundle, public())
    rewrite(bundle, {name: None})
    with pytest.raises(run.BundleError, match=f"^{name}: missing"):
        run.read(bundle, public())


def test_an_added_file_and_a_rewritten_manifest_are_refused(bundle: Path) -> None:
    manifest, _ = run.read(bundle, public())
    rewrite(bundle, {"numpy.py": b""})
    with pytest.raises(run.BundleError, match=r"^numpy\.py: edited, or added"):
        run.read(bundle, public())
    rewrite(bundle, {"numpy.py": None, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(run.BundleError, match=r"^manifest\.json: edited"):
        run.read(bundle, public())


def test_another_key_and_no_bundle_are_refused(bundle: Path) -> None:
    with pytest.raises(run.BundleError, match="signed with another key"):
        run.read(edge.bundle(MODEL, 3, bundle, bytes(32)), public())
    for content in (bundle.read_bytes()[:5000], b"", b"no zip"):
        bundle.write_bytes(content)
        with pytest.raises(run.BundleError, match="damaged"):
            run.read(bundle, public())
    with pytest.raises(run.BundleError, match="no bundle"):
        run.read(Path("nowhere.zip"), public())


def test_the_device_runs_the_bundle_with_run_py_alone(bundle: Path) -> None:
    records = [GOOD, GOOD | {"size": None}, GOOD | {"count": 10}]
    lines = "".join(f"{json.dumps(record)}\n" for record in records)

    def device() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "device/run.py", str(bundle), "device/edge.pub"]
        return subprocess.run(command, input=lines, capture_output=True, text=True, check=False)

    first, second, third = map(json.loads, device().stdout.splitlines())
    scorer = Scorer(MODEL / "model.onnx")
    for answer, record in ((first, GOOD), (second, GOOD | {"size": None})):
        assert answer["version"] == "3"
        assert answer["prediction"] == scorer.predict({k: [v] for k, v in record.items()})[0]
    assert third["errors"][0].startswith("count is 10: give")
    rewrite(bundle, {"score.py": b"raise SystemExit('it was run')"})
    done = device()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Refused: score.py: edited, or added\n"


@pytest.mark.parametrize(
    "record",
    [
        GOOD,
        GOOD | {"size": None},
        GOOD | {"size": 10},
        GOOD | {"size": 10.1},
        GOOD | {"size": True},
        GOOD | {"size": "1"},
        GOOD | {"count": 3.0},
        GOOD | {"count": 3.5},
        GOOD | {"count": float("inf")},
        GOOD | {"count": 0},
        GOOD | {"count": -1},
        GOOD | {"count": None},
        GOOD | {"colour": "green"},
        GOOD | {"colour": 1},
        GOOD | {"more": 1},
        {"colour": "red"},
        [],
    ],
    ids=str,
)
def test_it_takes_what_the_server_takes(home: Path, record: Any, taken: Any) -> None:
    contract = Contract.read(MODEL)
    wrong = score.faults(contract.model_dump(mode="json"), record)
    assert bool(wrong) != taken(contract, record)


@pytest.mark.parametrize("pattern", ["^re$", "e", None])
def test_texts_are_held_against_their_pattern(home: Path, pattern: str | None, taken: Any) -> None:
    fields = Contract.read(MODEL).fields[:1]
    fields[0].choices, fields[0].pattern = None, pattern
    contract = Contract(name="toy", task="regression", fields=fields, quantiles=[])
    for text in ("re", "are", "r", "re\n", ""):
        wrong = score.faults(contract.model_dump(mode="json"), {"colour": text})
        assert bool(wrong) != taken(contract, {"colour": text})


def test_a_line_that_is_no_json_is_answered_too() -> None:
    (answer,) = score.answers(io.StringIO("{"), {"fields": []}, lambda columns: None, 3)
    assert answer["errors"][0].startswith("no JSON: ")


def test_an_answer_that_is_no_number_is_none() -> None:
    nothing = np.array([np.nan], np.float32)
    (answer,) = score.answers(io.StringIO("{}"), {"fields": []}, lambda columns: nothing, 3)
    assert answer == {"errors": ["no prediction for these values"], "version": "3"}


def test_the_key_is_made_once_and_is_its_owners(home: Path) -> None:
    made = edge.signing_key(Settings())
    assert edge.signing_key(Settings()) == made
    assert edge.KEY.stat().st_mode & 0o777 == 0o600
    given = Settings(edge_key=SecretStr(KEY.hex()))
    assert edge.signing_key(given) == KEY
    with pytest.raises(MlopsError, match="MLOPS_EDGE_KEY is no Ed25519 key"):
        edge.signing_key(Settings(edge_key=SecretStr("secret")))
