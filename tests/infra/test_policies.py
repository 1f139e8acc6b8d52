"""No environment breaks a policy, and each policy is broken by a fault that is planted."""

import json
import shutil
from pathlib import Path

import pytest

from .conftest import CIS, PROVIDERS, Plans, Roots
from .faults import FAULTS, Fault
from .policies import (
    POLICIES,
    TAGS,
    Environment,
    Policy,
    Repository,
    budgeted,
    no_keys,
    no_public_storage,
    no_wildcards,
    tagged,
    trusted,
)
from .terraform import Object, Plan


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
@pytest.mark.parametrize("ci", CIS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_environment_keeps_to(
    policy: Policy, provider: str, ci: str, roots: Roots, plans: Plans
) -> None:
    if policy is trusted and ci != "github":
        return  # whose subject is each provider's own: its tests/ say it
    for name, environment in plans(roots(provider, ci)).items():
        assert list(policy(environment)) == [], name


@pytest.mark.parametrize(
    ("provider", "fault"),
    [
        pytest.param(provider, fault, id=f"{provider}-{fault[0].__name__}-{fault[1]}")
        for provider, faults in FAULTS.items()
        for fault in faults
    ],
)
def test_finds(provider: str, fault: Fault, roots: Roots, plans: Plans, tmp_path: Path) -> None:
    policy, file, old, new = fault
    tree = shutil.copytree(roots(provider).parents[1], tmp_path / "tree", symlinks=True)
    root = tree / "infra" / provider
    path = root / file
    text = path.read_text()
    assert old in text, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new))
    assert list(policy(plans(root, "prod")["prod"])), policy.__name__


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
def test_every_policy_has_a_fault_in(policy: Policy, provider: str) -> None:
    assert policy in [fault[0] for fault in FAULTS.get(provider, [])]


REPOSITORY = Repository("example/flight-plans", "1", "2")
SUBJECT = "repo:example@1/flight-plans@2:environment:prod"
DEV = SUBJECT.replace("prod", "dev")


def environment(*resources: tuple[str, Object]) -> Environment:
    """Return an environment that has these resources: kind and values."""
    made = {f"{kind}.{n}": {"type": kind, "values": v} for n, (kind, v) in enumerate(resources)}
    return Environment("prod", Plan(made, {}), "flight-plans", REPOSITORY)


def role(subject: str, name: str = "flight-plans-prod", **more: str) -> tuple[str, Object]:
    issuer = "token.actions.githubusercontent.com"
    said = {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws:iam::000000000000:oidc-provider/{issuer}"},
        "Condition": {
            "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subject}
        },
    }
    policy = json.dumps({"Statement": [said | more]})
    return "aws_iam_role", {"name": name, "assume_role_policy": policy}


GOOGLE = (
    "google_iam_workload_identity_pool_provider",
    {
        "attribute_condition": "assertion.repository_id == '2'",
        "attribute_mapping": {
            "google.subject": "assertion.repository_id + ':' + assertion.environment"
        },
    },
)
POOL = {"role": "roles/iam.workloadIdentityUser"}
MEMBER = (
    "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/"
)
BLOCK = dict.fromkeys(
    (
        "block_public_acls",
        "block_public_policy",
        "ignore_public_acls",
        "restrict_public_buckets",
    ),
    True,
)
LABELS = dict.fromkeys(TAGS, "one") | {"environment": "prod"}
AZURE_BUDGET = {
    "notification": [
        {"threshold": one, "contact_emails": ["team@example.com"]} for one in (50, 80, 100)
    ]
}
GOOGLE_BUDGET = {
    "threshold_rules": [{"threshold_percent": one} for one in (0.5, 0.8, 1)],
    "all_updates_rule": [{"monitoring_notification_channels": ["channel"]}],
}


@pytest.mark.parametrize(
    ("policy", "resources"),
    [
        (no_wildcards, [role(SUBJECT)]),
        (no_public_storage, [("aws_s3_bucket", {}), ("aws_s3_bucket_public_access_block", BLOCK)]),
        (no_keys, [("azurerm_container_registry", {"admin_enabled": False})]),
        (budgeted, [("azurerm_consumption_budget_resource_group", AZURE_BUDGET)]),
        (budgeted, [("google_billing_budget", GOOGLE_BUDGET)]),
        (tagged, [("google_storage_bucket", {"labels": LABELS})]),
        (trusted, [role(SUBJECT)]),
        (trusted, [role(SUBJECT), role(DEV, "flight-plans-prod-plan")]),
        (trusted, [("azurerm_federated_identity_credential", {"subject": SUBJECT})]),
        (
            trusted,
            [GOOGLE, ("google_service_account_iam_member", POOL | {"member": f"{MEMBER}2:prod"})],
        ),
    ],
)
def test_another_clouds_good_resources_pass(
    policy: Policy, resources: list[tuple[str, Object]]
) -> None:
    assert list(policy(environment(*resources))) == []


@pytest.mark.parametrize(
    ("policy", "resources"),
    [
        (no_wildcards, [role(SUBJECT, Action="*")]),
        (no_wildcards, [role(SUBJECT, Action="s3:*")]),
        (no_wildcards, [role(SUBJECT, Principal="*")]),
        (no_wildcards, [("azurerm_role_definition", {"permissions": [{"actions": ["*/read"]}]})]),
        (no_wildcards, [("azurerm_role_assignment", {"role_definition_name": "Owner"})]),
        (no_wildcards, [("google_project_iam_member", {"role": "roles/editor"})]),
        (no_wildcards, [("google_storage_bucket_iam_member", {"member": "allUsers"})]),
        (no_public_storage, [("aws_s3_bucket", {})]),
        (no_public_storage, [("aws_s3_bucket_public_access_block", {})]),
        (no_public_storage, [("google_storage_bucket", {"uniform_bucket_level_access": True})]),
        (no_public_storage, [("azurerm_storage_container", {"container_access_type": "blob"})]),
        (no_keys, [("aws_iam_access_key", {})]),
        (no_keys, [("azurerm_storage_account", {})]),
        (tagged, [("aws_s3_bucket", {"tags": None})]),
        (tagged, [("google_storage_bucket", {"labels": LABELS | {"owner": "Data Science"}})]),
        (budgeted, [("google_billing_budget", {"threshold_rules": [{"threshold_percent": 1}]})]),
        (trusted, []),
        (trusted, [role(SUBJECT), role(DEV)]),  # the project's name makes no reader
        (trusted, [role(SUBJECT), role(DEV, "flight-plans-prod-apply")]),
        (trusted, [role(SUBJECT), role(DEV.replace("dev", "test"), "flight-plans-prod-plan")]),
        (trusted, [role(DEV, "flight-plans-prod-plan")]),
        (trusted, [role(SUBJECT), role("repo:example/*")]),
        (
            trusted,
            [role(SUBJECT), ("azurerm_federated_identity_credential", {"subject": "repo:other"})],
        ),
        (trusted, [role(SUBJECT), ("google_service_account_iam_member", POOL)]),
        (
            trusted,
            [
                role(SUBJECT),
                ("google_service_account_iam_member", POOL | {"member": f"{MEMBER}2:dev"}),
            ],
        ),
        (trusted, [role(SUBJECT), (GOOGLE[0], GOOGLE[1] | {"attribute_condition": "true"})]),
        (trusted, [role(SUBJECT), (GOOGLE[0], GOOGLE[1] | {"attribute_mapping": None})]),
    ],
)
def test_another_clouds_faults_are_found(
    policy: Policy, resources: list[tuple[str, Object]]
) -> None:
    assert list(policy(environment(*resources)))
