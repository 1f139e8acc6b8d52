"""The bundle on a device: numpy, onnxruntime and cryptography, and no network at all."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import Project, render
from test_batch import offline

pytestmark = pytest.mark.long

MAKE = """
import json
from pathlib import Path
import pandas as pd
from mlops import project
from mlops.scorer import Scorer
from mlops.serve import edge

model, key = Path("models/candidate"), bytes(range(32))
edge.bundle(model, 3, Path("dist/bundle.zip"), key)
edge.kit(Path("dist/device"), key)
edge.kit(Path("dist/other"), bytes(32))
names = list(project.schema.Inputs.to_schema().columns)
rows = pd.read_parquet("data/raw/2013-07.parquet")[names].head(500)
text = rows.to_json(orient="records", lines=True, double_precision=15)
Path("dist/records.jsonl").write_text(text)
records = [json.loads(line) for line in text.splitlines()]
columns = {name: [record[name] for record in records] for name in names}
print(json.dumps(Scorer(model / "model.onnx").predict(columns).tolist()))
"""
# Any use of a socket ends the process, also where a network of its own cannot be had.
BLOCK = """
import os, sys
def refuse(event, _):
    if event.startswith("socket."):
        os._exit(99)
sys.addaudithook(refuse)
"""


def test_a_bundle_runs_alone(trained: Project, tmp_path: Path) -> None:
    render(tmp_path / "edge", serving=["edge"])
    builder = Project(trained.root, trained.environment)
    source = {"PYTHONPATH": str(tmp_path / "edge/src")}
    expected = json.loads(builder.run("python", "-c", MAKE, variables=source).splitlines()[-1])
    dist = trained.root / "dist"

    device = tmp_path / "device"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, device], check=True)
    with zipfile.ZipFile(dist / "bundle.zip") as file:
        needs = json.loads(file.read("manifest.json"))["requires"]
    install = ["uv", "pip", "install", "--quiet", "--python", str(device), *needs]
    subprocess.run(install, check=True)
    (packages,) = device.glob("lib/python*/site-packages")
    (packages / "sitecustomize.py").write_text(BLOCK)
    assert not any((packages / name).exists() for name in ("mlops", "mlflow", "pandas", "sklearn"))
    blocked = [str(device / "bin/python"), "-c", "import socket; socket.socket()"]
    assert subprocess.run(blocked, check=False).returncode == 99

    def run(bundle: Path, key: str = "device") -> subprocess.CompletedProcess[str]:
        command = [device / "bin/python", dist / "device/run.py", bundle, dist / key / "edge.pub"]
        with (dist / "records.jsonl").open() as records:
            return subprocess.run(
                [*offline(), *map(str, command)],
                cwd=tmp_path,
                env={"PATH": os.environ["PATH"]},
                stdin=records,
                capture_output=True,
                text=True,
                check=False,
            )

    done = run(dist / "bundle.zip")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert {answer["version"] for answer in answers} == {"3"}
    assert [answer["prediction"] for answer in answers] == expected
    print(f"bundle: {(dist / 'bundle.zip').stat().st_size / 1024:.0f} KB")

    refused = run(dist / "bundle.zip", key="other")
    assert (refused.stdout, refused.returncode) == ("", 1)
    assert "manifest.json: edited, or signed with another key" in refused.stderr
    for name in ("model.onnx", "contract.json", "score.py", "scorer.py"):
        refused = run(edited(dist / "bundle.zip", name, manifest=False))
        assert (refused.stdout, refused.returncode) == ("", 1)
        assert refused.stderr == f"Refused: {name}: edited, or added\n"
        refused = run(edited(dist / "bundle.zip", name, manifest=True))
        assert refused.stderr.startswith("Refused: manifest.json: edited")


def edited(bundle: Path, name: str, manifest: bool) -> Path:
    """Return a copy in which one file is another, and the manifest agrees with it if asked."""
    with zipfile.ZipFile(bundle) as file:
        files = {entry: file.read(entry) for entry in file.namelist()}
    files[name] += b" "
    if manifest:
        facts = json.loads(files["manifest.json"])
        facts["files"][name] = hashlib.sha256(files[name]).hexdigest()
        files["manifest.json"] = json.dumps(facts, indent=1, sort_keys=True).encode() + b"\n"
    target = bundle.with_name("edited.zip")
    with zipfile.ZipFile(target, "w") as file:
        for entry, content in files.items():
            file.writestr(entry, content)
    return target
