"""What is generated for other answers passes its own checks, not only the default."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Project, start

pytestmark = pytest.mark.long

PROVIDERS: list[dict[str, Any]] = [
    {"provider": "aws", "registry": "sagemaker", "training": "job"},
    {"provider": "azure", "registry": "azureml", "training": "job", "ci": "azure-devops"},
    {
        "provider": "gcp",
        "registry": "vertex",
        "training": "job",
        "ci": "gitlab",
        "serving": ["batch"],
    },
    {"provider": "kubernetes", "registry": "gto", "training": "ray"},
]


def sound(project: Project) -> None:
    for tier in ("lint", "types", "unit"):
        project.run("uv", "run", "mlops", "check", tier)


@pytest.mark.parametrize("serving", [["batch"], ["edge"], ["online", "edge"]], ids="+".join)
def test_a_project_of_other_answers_is_sound(tmp_path: Path, serving: list[str]) -> None:
    project = start(tmp_path / "project", serving=serving, strategy="ab", task="regression")
    sound(project)
    help_ = project.mlops("--help")
    for way, command in {"online": "serve", "batch": "batch", "edge": "edge"}.items():
        assert (f" {command} " in help_) == (way in serving)


@pytest.mark.parametrize("answers", PROVIDERS, ids=lambda one: str(one["provider"]))
def test_a_project_of_another_provider_is_sound(tmp_path: Path, answers: dict[str, Any]) -> None:
    project = start(tmp_path / "project", **answers)
    sound(project)
    assert (" submit " in project.mlops("--help")) == (answers["training"] == "job")
