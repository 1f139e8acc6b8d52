from pathlib import Path

import pytest

from mlops import footprint
from mlops.errors import MlopsError


def test_measures_the_folder_in_a_process_of_its_own(home: Path) -> None:
    folder = home / "models/candidate"
    (folder / "ballast").write_bytes(bytes(3_000_000))
    found = footprint.measure(folder)
    assert 3.0 < found.size_mb < 3.2
    assert 20 < found.memory_mb < 400
    assert 0 < found.p50_ms <= found.p99_ms


def test_what_cannot_be_served_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "models/candidate/model.onnx").write_bytes(b"broken")
    with pytest.raises(MlopsError, match=r"(?s)candidate cannot be served: .*Protobuf"):
        footprint.measure(home / "models/candidate")
    monkeypatch.setattr(footprint, "TIMEOUT", 0.01)
    with pytest.raises(MlopsError, match="took longer than"):
        footprint.measure(home / "models/candidate")
