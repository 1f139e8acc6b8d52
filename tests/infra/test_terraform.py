"""Every root is well formed, valid, and keeps its modules' promises; and the harness would tell."""

import json
import shutil
from pathlib import Path

import pytest

from .conftest import CIS, PROVIDERS, Plans, Roots
from .derive import SCHEMAS, used
from .terraform import Terraform

MODULES = {
    "budget",
    "identity",
    "images",
    "monitoring",
    "network",
    "serving",
    "storage",
    "workspace",
}


CASES = pytest.mark.parametrize(
    ("provider", "ci"), [(provider, ci) for provider in PROVIDERS for ci in CIS]
)


@CASES
def test_is_formatted(provider: str, ci: str, roots: Roots, terraform: Terraform) -> None:
    terraform.run(roots(provider, ci), "fmt", "-check", "-recursive", "-diff")


@CASES
def test_is_valid(provider: str, ci: str, roots: Roots, terraform: Terraform) -> None:
    for root in (roots(provider, ci), roots(provider, ci) / "bootstrap"):
        terraform.run(root, "validate")


@pytest.mark.parametrize(
    ("provider", "ci", "environment"),
    [
        (provider, ci, environment)
        for provider in PROVIDERS
        for ci, answers in CIS.items()
        for environment in answers["environments"]
    ],
)
def test_keeps_its_promises(
    provider: str, ci: str, environment: str, roots: Roots, terraform: Terraform
) -> None:
    file = f"-var-file=environments/{environment}.tfvars"
    assert " 0 passed" not in terraform.run(roots(provider, ci), "test", file)


@CASES
def test_the_bootstrap_keeps_its_promises(
    provider: str, ci: str, roots: Roots, terraform: Terraform
) -> None:
    root = roots(provider, ci) / "bootstrap"
    if (root / "tests").is_dir():  # or the root's tests have it as a module
        assert " 0 passed" not in terraform.run(root, "test")


@CASES
def test_every_environment_can_be_planned(
    provider: str, ci: str, roots: Roots, plans: Plans
) -> None:
    root = roots(provider, ci)
    found = plans(root)
    files = {path.stem for path in root.glob("environments/*.tfvars")}
    assert set(found) == set(CIS[ci]["environments"]) == files
    for environment in found.values():
        assert environment.plan.resources


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_same_modules_have_the_same_files(provider: str, roots: Roots) -> None:
    modules = {path.name: path for path in (roots(provider) / "modules").iterdir()}
    assert set(modules) >= MODULES
    for name in MODULES:
        files = {file.name for file in modules[name].iterdir()}
        assert {"main.tf", "outputs.tf", "variables.tf"} <= files


def test_schemas_have_what_is_used_and_no_more() -> None:
    """`python tests/infra/derive.py NAME` makes one anew."""
    for schema in SCHEMAS.glob("*.json"):
        name = schema.stem.rsplit("-", 1)[0]
        (content,) = json.loads(schema.read_text())["provider_schemas"].values()
        kept = {("resource", kind) for kind in content["resource_schemas"]}
        kept |= {("data", kind) for kind in content["data_source_schemas"]}
        assert kept == used(name), name


TINY = """
terraform {
  required_providers {
    kubernetes = { source = "hashicorp/kubernetes", version = "%s" }
  }
}

resource "kubernetes_resource_quota_v1" "this" {
  %s
}
"""
GOOD = 'metadata { name = "quota" }'


@pytest.mark.parametrize(
    ("version", "body", "said"),
    [
        (">= 2.38, < 4", GOOD, ""),
        (">= 2.39", GOOD, "no available releases match"),
        (">= 2.38", 'metadata { nam = "quota" }', 'Did you mean "name"?'),
        (">= 2.38", "", 'At least 1 "metadata" blocks are required'),
        (">= 2.38", GOOD + "\n  metadata {}", 'No more than 1 "metadata" blocks are allowed'),
        (">= 2.38", GOOD + "\n  id = []", "string required"),
    ],
)
def test_the_real_binary_judges_by_the_schema(
    version: str, body: str, said: str, terraform: Terraform, tmp_path: Path
) -> None:
    (tmp_path / "main.tf").write_text(TINY % (version, body))
    missing = "releases" in said
    output = terraform.run(tmp_path, "init", "-input=false", fails=missing)
    if not missing:
        output += terraform.run(tmp_path, "validate", fails=bool(said))
    assert said in " ".join(output.replace("│", "").split())


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("main.tf", "local.cloud.namespace", "local.cloud.namspace"),
        ("environments/prod.tfvars", '"prod"', '"production"'),
    ],
)
def test_a_root_that_is_wrong_is_not_planned(
    file: str, old: str, new: str, roots: Roots, plans: Plans, tmp_path: Path
) -> None:
    tree = shutil.copytree(roots("kubernetes").parents[1], tmp_path / "tree", symlinks=True)
    path = tree / "infra/kubernetes" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(AssertionError, match="exit code 1"):
        plans(tree / "infra/kubernetes", "prod")
