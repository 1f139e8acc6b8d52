"""What is generated for other answers passes its own checks, not only the default."""

from pathlib import Path

import pytest
from conftest import start

pytestmark = pytest.mark.long


@pytest.mark.parametrize("serving", [["batch"], ["edge"], ["online", "edge"]], ids="+".join)
def test_a_project_of_other_answers_is_sound(tmp_path: Path, serving: list[str]) -> None:
    project = start(tmp_path / "project", serving=serving, strategy="ab", task="regression")
    for tier in ("lint", "types", "unit"):
        project.run("uv", "run", "mlops", "check", tier)
    help_ = project.mlops("--help")
    for way, command in {"online": "serve", "batch": "batch", "edge": "edge"}.items():
        assert (f" {command} " in help_) == (way in serving)
