"""What the deploy code reads from environments/ is what infra/ makes, by name and by right."""

import importlib
import shutil
from pathlib import Path

import clouds  # noqa: F401 (makes `mlops` importable)
import pytest
import yaml

from .conftest import CIS, PROVIDERS, Plans, Roots
from .policies import Environment
from .terraform import Object

# What an environment's file chooses, or takes over from what bootstrap prints.
CHOSEN = {"context", "machine", "job_machine", "plan_client", "apply_client"}


def names(tree: Path, environment: str) -> dict[str, str]:
    """Return the names in an environment's file that something must make."""
    cloud = yaml.safe_load((tree / f"environments/{environment}.yaml").read_text())["cloud"]
    return {
        key: value for key, value in cloud.items() if isinstance(value, str) and key not in CHOSEN
    }


def contradictions(tree: Path, provider: str, environment: Environment) -> list[str]:
    """Return where an environment's outputs and the deploy code's names differ."""
    wanted, made = names(tree, environment.name), environment.plan.outputs["cloud"]
    cloud = importlib.import_module(f"mlops.cloud.{provider}").Cloud
    unknown = set(made) - set(cloud.model_fields)
    return [f"{key}: nothing reads it" for key in sorted(unknown)] + [
        f"{key}: {made.get(key)}, not {value}"
        for key, value in wanted.items()
        if made.get(key) != value
    ]


@pytest.mark.parametrize("ci", CIS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_outputs_are_the_names_that_the_deploy_code_reads(
    provider: str, ci: str, roots: Roots, plans: Plans
) -> None:
    root = roots(provider, ci)
    found = plans(root)
    for environment in found.values():
        assert contradictions(root.parents[1], provider, environment) == [], environment.name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("module.storage.bucket", '"${module.storage.bucket}-data"'),
        ("    image        = module.images.image\n", ""),
        ("    job_image", "    job_images"),
    ],
)
def test_a_name_that_differs_is_found(
    old: str, new: str, roots: Roots, plans: Plans, tmp_path: Path
) -> None:
    tree = shutil.copytree(roots("kubernetes").parents[1], tmp_path / "tree", symlinks=True)
    outputs = tree / "infra/kubernetes/outputs.tf"
    assert old in outputs.read_text()
    outputs.write_text(outputs.read_text().replace(old, new))
    planned = plans(tree / "infra/kubernetes", "prod")["prod"]
    assert contradictions(tree, "kubernetes", planned)


Right = tuple[str, str, str]  # API group, resource, verb


def rights(rules: list[Object], groups: str = "api_groups") -> set[Right]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule[groups]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def roles(environment: Environment, module: str) -> dict[str, set[Right]]:
    """Return what each Role of a module allows, by its key."""
    return {
        address.split('"')[1]: rights(values["rule"])
        for address, values in environment.of("kubernetes_role_v1")
        if address.startswith(f"{module}.")
    }


def test_the_pipeline_may_do_in_the_cluster_what_releases_do(roots: Roots, plans: Plans) -> None:
    root = roots("kubernetes")
    documents = yaml.safe_load_all((root.parents[1] / "deploy/base/accounts.yaml").read_text())
    (releaser,) = (one for one in documents if one["kind"] == "Role")
    for environment in plans(root).values():
        assert roles(environment, "module.identity")["pipeline"] == rights(
            releaser["rules"], "apiGroups"
        )


def test_the_pipeline_can_give_the_roles_that_it_makes(roots: Roots, plans: Plans) -> None:
    """Kubernetes lets nobody give a right that he does not have."""
    for name, environment in plans(roots("kubernetes")).items():
        held = roles(environment, "bootstrap")[f"apply flight-delays-{name}"]
        for persona, wanted in roles(environment, "module.identity").items():
            assert wanted <= held, persona


def test_only_what_answers_online_has_a_gateway(roots: Roots, plans: Plans) -> None:
    for ci, answers in CIS.items():
        for environment in plans(roots("kubernetes", ci)).values():
            online = "online" in answers.get("serving", ["online"])
            made = [address for address in environment.plan.resources if "gateway[0]" in address]
            assert bool(made) == online, (ci, environment.name)
