"""The local target with real processes and a real Envoy, by a generated project's own Python."""

import os
import re
from pathlib import Path

import pytest
from conftest import Project

pytestmark = pytest.mark.long

CASES = Path(__file__).with_name("target_cases.py")


@pytest.mark.parametrize("case", re.findall(r"^def (test_\w+)", CASES.read_text(), re.MULTILINE))
def test_target(fresh: Project, case: str) -> None:
    command = ["python", "-m", "pytest", "--noconftest", "-c", os.devnull, "-q", "-s"]
    print(fresh.run("timeout", "300", *command, "-p", "no:cacheprovider", f"{CASES}::{case}"))
