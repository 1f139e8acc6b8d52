"""A generated project for each provider, and the real terraform in its roots."""

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, render

from .policies import Environment, Repository
from .terraform import Terraform

PROVIDERS = sorted(path.name for path in (ROOT / "template/infra").iterdir() if path.is_dir())
ENVIRONMENTS = tuple(
    sorted(path.name.split(".")[0] for path in (ROOT / "template/environments").iterdir())
)
# The answers that infra/ must be right for, by the platform of pipelines.
CIS: dict[str, dict[str, Any]] = {
    "github": {"environments": list(ENVIRONMENTS)},
    "gitlab": {
        "environments": ["dev", "prod"],
        "project_slug": "plan-of-the-maintenance-of-rolling-stock",  # as long as may be
        "package_name": "rolling_stock",
        "team": "Data Science / EU",
        "contact": "data.science+eu@example.com",
    },
    "azure-devops": {
        "environments": ["dev", "prod"],
        "project_slug": "x",
        "serving": ["batch"],
        "training": "job",
    },
}

Roots = Callable[..., Path]
Plans = Callable[..., dict[str, Environment]]


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    if not shutil.which("terraform"):
        pytest.skip("NO INFRASTRUCTURE IS CHECKED HERE: it takes terraform")
    return Terraform(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="session")
def roots(terraform: Terraform, tmp_path_factory: pytest.TempPathFactory) -> Roots:
    """Return a provider's root in a generated project, initialised. Do not change it."""

    @cache
    def root(provider: str, ci: str) -> Path:
        tree = render(tmp_path_factory.mktemp(provider), provider=provider, ci=ci, **CIS[ci])
        for each in (tree / "infra" / provider, tree / "infra" / provider / "bootstrap"):
            terraform.run(each, "init", "-backend=false", "-input=false")
        return tree / "infra" / provider

    return lambda provider, ci="github": root(provider, ci)


@pytest.fixture(scope="session")
def plans(terraform: Terraform) -> Plans:
    """Return the environments of a root by name, with what they and their bootstrap/ would make."""

    @cache  # of roots that are not changed any more
    def make(root: Path, *environments: str) -> dict[str, Environment]:
        common = (root / "terraform.tfvars").read_text()
        names = environments or chosen(root)
        texts = {name: (root / f"environments/{name}.tfvars").read_text() for name in names}
        first = terraform.plans(
            root / "bootstrap", {name: f"{common}\n{text}" for name, text in texts.items()}
        )
        found = terraform.plans(root, texts)
        for name, plan in found.items():
            for address, one in first[name].resources.items():
                plan.resources[f"bootstrap.{address}"] = one
        said = {key: value for key, value in re.findall(r'\b(\w+)\s*=\s*"(.*?)"', common)}
        repository = Repository(said["path"], said.get("owner_id", ""), said.get("id", ""))
        return {
            name: Environment(name, plan, said["project"], repository)
            for name, plan in found.items()
        }

    return make


def chosen(root: Path) -> tuple[str, ...]:
    """Return the environments of the project that a root is part of."""
    return tuple(sorted(path.stem for path in (root.parents[1] / "environments").glob("*.yaml")))
