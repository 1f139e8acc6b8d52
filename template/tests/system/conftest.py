"""The environment that the shell names, which the other tests keep out."""

import os
from pathlib import Path

import pytest

GIVEN = {name: value for name, value in os.environ.items() if name.startswith("MLOPS_")}


@pytest.fixture(autouse=True)
def _given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
