"""What every environment of every provider must keep to, asked of its plan.

A policy yields a finding for each fault. A plan is values, after all variables, loops and modules:
a fault cannot hide behind one. What is not known before it is made counts as not said.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import yaml

from .terraform import Object, Plan


@dataclass(frozen=True)
class Repository:
    """Whose pipelines are trusted, as terraform.tfvars says: GitHub's numbers beside the path."""

    path: str
    owner_id: str
    id: str

    def subjects(self, environment: str) -> set[str]:
        """Return what jobs in an environment are: GitHub's subject, and Google's short one."""
        owner, name = self.path.split("/")
        whole = f"repo:{owner}@{self.owner_id}/{name}@{self.id}:environment:{environment}"
        return {whole, f"{self.id}:{environment}"}


@dataclass
class Environment:
    """One environment: its name, what its root and bootstrap/ would make, and for whom."""

    name: str
    plan: Plan
    project: str
    repository: Repository

    def of(self, *kinds: str) -> Iterator[tuple[str, Object]]:
        """Yield address and values of the resources of some kinds; all if none is named."""
        for address, one in self.plan.resources.items():
            if not kinds or one["type"] in kinds:
                yield address, one["values"]


Policy = Callable[[Environment], Iterator[str]]
TAGS = ("owner", "environment", "cost-centre", "data-class", "compliance", "project")
PUBLIC = {
    "*",
    "allAuthenticatedUsers",
    "allUsers",
    "system:anonymous",
    "system:authenticated",
    "system:masters",
    "system:unauthenticated",
}
WIDE = re.compile(r"\*|\*/.*|[\w.-]+[:/]\*")  # all; all of a kind; all of a service
LABELS = {  # what a value may be, where not every text is one
    "google_": re.compile(r"[a-z0-9_-]{0,63}"),
    "kubernetes_": re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?"),
    "helm_release": re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?"),
}
ACTIONS = {"actions", "data_actions", "verbs", "resources", "api_groups", "permissions"}
ROLES = {"managed_policy_arns", "policy_arn", "role", "role_definition_name"}
TOO_WIDE = {  # roles that are everything, by the names that the platforms give them
    "AdministratorAccess",
    "Contributor",
    "Owner",
    "PowerUserAccess",
    "User Access Administrator",
    "cluster-admin",
    "editor",
    "owner",
}
KEYS = {  # what is a long-lived key, or nothing without one
    "aws_iam_access_key",
    "aws_iam_user",
    "azuread_application_password",
    "azuread_service_principal_password",
    "google_service_account_key",
    "google_storage_hmac_key",
    "kubernetes_secret_v1",
    "kubernetes_token_request_v1",
}
SECRET = re.compile(r"(password|secret_key|access_key|token)$", re.I)
# Arguments by which a platform lets keys in, and the values that shut them out.
KEYLESS = {
    "azurerm_container_registry": {"admin_enabled": False},
    "azurerm_storage_account": {"shared_access_key_enabled": False},
}
# Arguments by which storage lets the public in, and the values that shut it out.
SHUT: dict[str, Object] = {
    "aws_s3_bucket_public_access_block": {
        "block_public_acls": True,
        "block_public_policy": True,
        "ignore_public_acls": True,
        "restrict_public_buckets": True,
    },
    "azurerm_storage_account": {
        "allow_nested_items_to_be_public": False,
        "https_traffic_only_enabled": True,
    },
    "azurerm_storage_container": {"container_access_type": "private"},
    "google_storage_bucket": {
        "public_access_prevention": "enforced",
        "uniform_bucket_level_access": True,
    },
}
# What Google's subject may be made of: Repository.subjects is what comes of it.
MAPPINGS = ("assertion.sub", "assertion.repository_id + ':' + assertion.environment")
BUDGETS = (
    "aws_budgets_budget",
    "azurerm_consumption_budget_resource_group",
    "azurerm_consumption_budget_subscription",
    "google_billing_budget",
)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of a tree and its path; JSON and YAML in a text are trees, too."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[", '"')):
        with suppress(yaml.YAMLError):
            value = yaml.safe_load(value)
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one, path)
    else:
        yield path, value


def objects(values: Object) -> list[Object]:
    """Return the objects that a chart of ours carries."""
    found = [yaml.safe_load(text) for text in values.get("values") or []]
    return [one for each in found for one in each.get("objects", [])]


def statements(values: Object) -> Iterator[Object]:
    """Yield the statements of the policies of Amazon's that stand in a resource's texts."""
    for text in values.values():
        if isinstance(text, str) and '"Statement"' in text:
            said = json.loads(text)["Statement"]
            yield from said if isinstance(said, list) else [said]


def no_wildcards(environment: Environment) -> Iterator[str]:
    """Nobody may do everything, and nothing is for everybody."""
    for address, values in environment.of():
        faults = [*_wide_statements(values), *_wide_roles(values)]
        yield from (f"{address}: {fault}" for fault in faults)


def _wide_statements(values: Object) -> Iterator[str]:
    for statement in statements(values):
        if statement.get("Effect") == "Deny":
            continue
        for path, one in leaves({"Action": statement.get("Action", "*")}):
            if WIDE.fullmatch(str(one)):
                yield f"{path} {one}"
        for path, one in leaves({"Principal": statement.get("Principal", {})}):
            if one == "*":
                yield f"{path} {one}"


def _wide_roles(values: Object) -> Iterator[str]:
    for path, one in leaves(values):
        key, text = path.rpartition(".")[2], str(one)
        if (
            (key in ACTIONS and WIDE.fullmatch(text))
            or (key in ("member", "members", "name") and text in PUBLIC)
            or ((key in ROLES or path.endswith("role_ref.name")) and _last(text) in TOO_WIDE)
        ):
            yield f"{path} {one}"


def _last(role: str) -> str:
    """Return a role's name without the path before it."""
    return re.split(r"[/:]", role)[-1]


def no_public_storage(environment: Environment) -> Iterator[str]:
    """Nothing that keeps data answers the public, or without TLS."""
    yield from _unlike(environment, SHUT)
    buckets = len(dict(environment.of("aws_s3_bucket")))
    blocks = len(dict(environment.of("aws_s3_bucket_public_access_block")))
    if blocks < buckets:
        yield f"{buckets} buckets, {blocks} public access blocks"
    for name, value in leaves(environment.plan.outputs):
        if name.endswith("endpoint_url") and value and not value.startswith("https://"):
            yield f"output {name}: {value}"


def no_keys(environment: Environment) -> Iterator[str]:
    """No key is made that lives longer than a job, and none is let in."""
    for address, _ in environment.of(*KEYS):
        yield f"{address}: a long-lived key"
    yield from _unlike(environment, KEYLESS)
    for address, values in environment.of():
        for path, one in leaves(values):
            if SECRET.search(path) and isinstance(one, str) and one:
                yield f"{address}: {path} is a text"


def tagged(environment: Environment) -> Iterator[str]:
    """All that can be tagged tells whose it is, and what for."""
    given = {key: value for key, value in environment.plan.outputs.get("tags", {}).items() if value}
    for address, values in environment.of():
        for said in _tags(values):
            default = {} if "user_labels" in values else given  # the provider gives those none
            found = {key.replace("_", "-"): value for key, value in {**default, **said}.items()}
            missing = [tag for tag in TAGS if not found.get(tag)]
            if missing:
                yield f"{address}: no {', '.join(missing)}"
            elif found["environment"] != environment.name:
                yield f"{address}: environment {found['environment']}"
            for kind, form in LABELS.items():
                if kind in address:
                    wrong = [one for one in said.values() if not form.fullmatch(one or "")]
                    yield from (f"{address}: {one!r} is no label" for one in wrong)


def budgeted(environment: Environment) -> Iterator[str]:
    """There is a budget, and somebody hears of 50, 80 and 100 % of it."""
    said = [*_budgets(environment)]
    alarms = {float(one) for what, one in said if what == "alarm"}
    if missing := {50.0, 80.0, 100.0} - alarms:
        yield f"no alarm at {', '.join(f'{one:g} %' for one in sorted(missing))}"
    if not [one for what, one in said if what == "heard" and one]:
        yield "nobody hears of the budget"


def _budgets(environment: Environment) -> Iterator[tuple[str, Any]]:
    """Yield ("alarm", the percentage) and ("heard", by whom)."""
    for _, values in environment.of(*BUDGETS):
        for path, one in leaves(values):
            if path.endswith("threshold"):
                yield "alarm", one
            elif path.endswith("threshold_percent"):
                yield "alarm", 100 * float(one)
            elif re.search(r"emails|addresses|arns", path):
                yield "heard", one
            elif "all_updates_rule" in path:  # its channels are not known before they are made
                yield "heard", True
    for _, values in environment.of("helm_release"):
        yield from _alerts(values)


def _alerts(values: Object) -> Iterator[tuple[str, Any]]:
    for path, one in leaves(objects(values)):
        if path.endswith("rules.alert") and (found := re.fullmatch(r"Budget(\d+)", one)):
            yield "alarm", found[1]
        elif path.endswith("emailConfigs.to"):
            yield "heard", one


def trusted(environment: Environment) -> Iterator[str]:
    """Only this repository's jobs in this environment are the pipeline.

    Who plans, and is called so, reads: dev's jobs may be that, too, as nobody has approved a pull
    request.
    """
    own = environment.repository.subjects(environment.name)
    readers = own | environment.repository.subjects("dev")
    said = list(_subjects(environment))
    if not own & {subject for *_, subject in said}:
        yield "the environment's own pipeline is not trusted: how does it log in?"
    for address, name, subject in said:
        called = re.split(r"[^a-z]", f"{address} {name}".replace(environment.project, ""))
        if subject not in (readers if "plan" in called and "apply" not in called else own):
            yield f"{address}: trusts {subject!r}"
    for address, values in environment.of("google_iam_workload_identity_pool_provider"):
        limit = f"assertion.repository_id == '{environment.repository.id}'"
        if limit not in (values.get("attribute_condition") or ""):
            yield f"{address}: attribute_condition lets other repositories in"
        if (values.get("attribute_mapping") or {}).get("google.subject") not in MAPPINGS:
            yield f"{address}: google.subject does not tell repository and environment"


def _subjects(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Yield where somebody is trusted, as whom, and the subject that his token must have."""
    for address, values in environment.of("aws_iam_role"):
        for statement in statements(values):
            if "WebIdentity" in str(statement.get("Action")):
                subjects = _amazon_subjects(statement)
                yield from ((address, values.get("name", ""), one) for one in subjects)
    for address, values in environment.of("azurerm_federated_identity_credential"):
        yield address, values.get("name", ""), values.get("subject", "anybody")
    for address, values in environment.of("google_service_account_iam_member"):
        if values.get("role") == "roles/iam.workloadIdentityUser":
            yield address, "", values.get("member", "anybody").split("/subject/")[-1]
    for address, values in environment.of("kubernetes_role_binding_v1"):
        users = [one["name"] for one in values.get("subject") or [] if one["kind"] == "User"]
        yield from ((address, "", user.partition(":")[2]) for user in users)


def _amazon_subjects(statement: Object) -> list[str]:
    """Return whom a statement trusts: a pattern is no subject, and is judged as one."""
    said = statement.get("Condition", {})
    if not any(key.endswith(":aud") for key in said.get("StringEquals", {})):
        return ["any audience"]
    for keys in (said.get("StringEquals", {}), said.get("StringLike", {})):
        for key, one in keys.items():
            if key.endswith(":sub"):
                return [one] if isinstance(one, str) else one
    return ["anybody"]


def _unlike(environment: Environment, wanted: dict[str, Object]) -> Iterator[str]:
    for kind, values in wanted.items():
        for address, said in environment.of(kind):
            for key, value in values.items():
                if said.get(key) != value:
                    yield f"{address}: {key} {said.get(key)}, not {value}"


def _tags(values: Object) -> Iterator[Object]:
    """Yield what each place for tags of a resource says."""
    # Where a resource of Google's has user_labels, its labels are settings; Azure's are words.
    azure = "resource_group_name" in values
    for key in ["user_labels"] if "user_labels" in values else ["tags", *["labels"] * (not azure)]:
        if key in values:
            yield values[key] or {}
    for metadata in values.get("metadata") or []:
        yield metadata.get("labels") or {}
    for one in objects(values) if "chart" in values else []:
        yield one["metadata"].get("labels") or {}


POLICIES: tuple[Policy, ...] = (
    no_wildcards,
    no_public_storage,
    no_keys,
    tagged,
    budgeted,
    trusted,
)
