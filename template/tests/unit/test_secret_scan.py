import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops import secret_scan
from mlops.lineage import git

KEY = "AKIA" + "Z7" * 8  # in two parts, or it would be found here


@pytest.fixture
def notebook() -> dict[str, Any]:
    cell = {"cell_type": "code", "source": ["import os\n", f'key = "{KEY}"\n'], "metadata": {}}
    picture = {"data": {"image/png": "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAA" * 9}}
    return {"cells": [cell | {"outputs": [picture]}], "metadata": {}}


def test_a_key_is_found_by_file_and_line_in_code_and_in_a_cell(
    home: Path, notebook: dict[str, Any]
) -> None:
    Path("src").mkdir()
    Path("src/a.py").write_text(f'import os\n\nKEY = "{KEY}"\n')
    Path("a.ipynb").write_text(json.dumps(notebook, indent=1))
    line = Path("a.ipynb").read_text().splitlines().index(f'    "key = \\"{KEY}\\"\\n"') + 1
    found = secret_scan.scan(secret_scan.tracked())
    assert found == [f"a.ipynb:{line}: AWS Access Key", "src/a.py:3: AWS Access Key"]


def test_a_password_does_not_hide_behind_a_notebooks_escapes(
    home: Path, notebook: dict[str, Any]
) -> None:
    notebook["cells"][0]["source"] = ["password" + ' = "hunter-2-Tr0ub4dor"\n']
    Path("a.ipynb").write_text(json.dumps(notebook, indent=1))
    (found,) = secret_scan.scan([Path("a.ipynb")])
    assert found.endswith(": Secret Keyword")


def test_hashes_of_lock_files_and_what_is_marked_or_ignored_are_no_secrets(home: Path) -> None:
    Path("dvc.lock").write_text(f"md5: '{hashlib.sha256(b'data').hexdigest()}'\n")
    Path("a.py").write_text(f'KEY = "{KEY}"  # pragma: allowlist secret\n')
    Path("logs").mkdir()
    Path("logs/a.py").write_text(f'KEY = "{KEY}"\n')
    assert secret_scan.scan(secret_scan.tracked()) == []


def test_the_baseline_records_what_no_comment_can_mark(home: Path) -> None:
    Path("a.json").write_text(json.dumps({"key": KEY}))
    assert secret_scan.scan([Path("a.json")])
    git("add", "a.json")
    scanned = subprocess.run(
        [str(Path(sys.executable).with_name("detect-secrets")), "scan", "a.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    secret_scan.BASELINE.write_text(scanned.stdout)
    assert secret_scan.scan([Path("a.json"), secret_scan.BASELINE]) == []


@pytest.mark.parametrize(("content", "code"), [(KEY, 1), ("harmless", 0)])
def test_the_command_leaves_with_what_it_found(
    home: Path, content: str, code: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    Path("a.py").write_text(f'KEY = "{content}"\n')
    monkeypatch.setattr(sys, "argv", ["secret_scan", "a.py"])
    with pytest.raises(SystemExit) as left:
        secret_scan.main()
    assert left.value.code == code
    assert capsys.readouterr().out == ("a.py:1: AWS Access Key\n" if code else "No secrets.\n")
