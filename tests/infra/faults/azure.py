from ..policies import (
    budgeted,
    no_keys,
    no_public_storage,
    no_wildcards,
    tagged,
    trusted,
)

FAULTS = [
    (no_wildcards, "modules/identity/people.tf", '"Microsoft.Insights/workbooks/read"', '"*/read"'),
    (no_wildcards, "modules/identity/main.tf", '"Monitoring Reader"', '"Contributor"'),
    (no_public_storage, "modules/storage/main.tf", 'type = "private"', 'type = "blob"'),
    (
        no_public_storage,
        "modules/storage/main.tf",
        "allow_nested_items_to_be_public   = false",
        "allow_nested_items_to_be_public   = true",
    ),
    (
        no_keys,
        "modules/storage/main.tf",
        "shared_access_key_enabled         = false",
        "shared_access_key_enabled         = true",
    ),
    (tagged, "terraform.tfvars", '"ml-team"', '""'),
    (tagged, "main.tf", "environment = var.environment\n", 'environment = "dev"\n'),
    (tagged, "modules/workspace/main.tf", "= var.place.tags", "= {}"),
    (budgeted, "modules/budget/main.tf", '[80, "Actual"], ', ""),
    (
        budgeted,
        "modules/budget/main.tf",
        "contact_emails = var.budget.emails",
        "contact_emails = []",
    ),
    (
        trusted,
        "modules/identity/trust/main.tf",
        ":environment:${environment}",
        ":ref:refs/heads/main",
    ),
    (trusted, "modules/identity/trust/main.tf", "@${var.repository.id}", ""),
]
