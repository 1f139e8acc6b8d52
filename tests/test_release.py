"""Releases of real models, by the real controller, behind the real Envoy, under load."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Project

pytestmark = pytest.mark.long

CASES = Path(__file__).with_name("release_cases.py")


@pytest.fixture
def released(versions: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy with two versions; whatever happens, nothing of it is left running."""
    project = versions.copy(tmp_path / "flight-delays")
    yield project
    for state in project.root.glob("deployments/*/state.json"):
        project.mlops("stop", "--env", state.parent.name)


@pytest.mark.parametrize("case", re.findall(r"^def (test_\w+)", CASES.read_text(), re.MULTILINE))
def test_release(released: Project, case: str) -> None:
    command = ["python", "-m", "pytest", "--noconftest", "-c", os.devnull, "-q", "-s"]
    print(released.run("timeout", "300", *command, "-p", "no:cacheprovider", f"{CASES}::{case}"))


def test_looking_often_makes_no_winner(installed: Project) -> None:
    simulated = CASES.with_name("simulate_ab.py")
    rates = json.loads(installed.run("python", str(simulated), "2000"))
    print(rates)
    assert rates["false"] <= 0.05 < rates["naive"]
    assert rates["found"] >= 0.8
    assert rates["worse"] >= 0.8
