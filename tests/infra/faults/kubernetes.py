"""Violations to plant in infra/kubernetes."""

from ..policies import (
    budgeted,
    no_keys,
    no_public_storage,
    no_wildcards,
    tagged,
    trusted,
)

FAULTS = [
    (no_wildcards, "modules/identity/main.tf", '["get"]', '["*"]'),
    (
        no_wildcards,
        "modules/identity/main.tf",
        "name      = kubernetes_role_v1.this[each.key].metadata[0].name\n  }\n  dynamic",
        'name      = "cluster-admin"\n  }\n  dynamic',
    ),
    (
        no_wildcards,
        "environments/prod.tfvars",
        '"data-scientists"',
        '"system:unauthenticated"',
    ),
    (
        no_public_storage,
        "modules/storage/outputs.tf",
        "= var.endpoint_url\n",
        '= replace(var.endpoint_url, "https:", "http:")\n',
    ),
    (
        no_keys,
        "modules/monitoring/main.tf",
        '{ name = "team", emailConfigs',
        '{ name = "team", password = "example", emailConfigs',
    ),
    (
        tagged,
        "modules/workspace/main.tf",
        'name      = "environment"\n    namespace = var.namespace\n    labels    = var.labels',
        'name      = "environment"\n    namespace = var.namespace',
    ),
    (tagged, "terraform.tfvars", '"ml-team"', '""'),
    (tagged, "main.tf", "= var.environment\n    owner", '= "dev"\n    owner'),
    (budgeted, "modules/budget/outputs.tf", "[50, 80, 100]", "[50, 100]"),
    (budgeted, "environments/prod.tfvars", '["ml-team@example.com"]', "[]"),
    (
        trusted,
        "modules/identity/trust/main.tf",
        ":environment:${name}",
        ":ref:refs/heads/main",
    ),
    (trusted, "modules/identity/trust/main.tf", "@${var.repository.id}", ""),
    (trusted, "bootstrap/main.tf", "apply = [var.environment]", 'apply = [var.environment, "dev"]'),
    (no_wildcards, "bootstrap/main.tf", '"leases"', '"*"'),
]
