from ..policies import (
    budgeted,
    no_keys,
    no_public_storage,
    no_wildcards,
    tagged,
    trusted,
)

FAULTS = [
    (no_wildcards, "bootstrap/main.tf", '"storage.admin"', '"owner"'),
    (no_wildcards, "modules/storage/main.tf", "= each.value.member", '= "allUsers"'),
    (no_public_storage, "modules/storage/main.tf", '"enforced"', '"inherited"'),
    (
        no_public_storage,
        "bootstrap/main.tf",
        "uniform_bucket_level_access = true",
        "uniform_bucket_level_access = false",
    ),
    (
        no_keys,
        "modules/monitoring/main.tf",
        "  labels       = { email_address = each.value }\n",
        "  labels       = { email_address = each.value }\n"
        '  sensitive_labels {\n    auth_token = "example"\n  }\n',
    ),
    (tagged, "terraform.tfvars", '"ml-team"', '""'),
    (
        tagged,
        "main.tf",
        "environment = var.environment\n    owner",
        'environment = "dev"\n    owner',
    ),
    (
        tagged,
        "modules/monitoring/main.tf",
        'user_labels           = var.labels\n\n  conditions {\n    display_name = "a job failed"',
        'user_labels           = {}\n\n  conditions {\n    display_name = "a job failed"',
    ),
    (budgeted, "modules/budget/main.tf", "[0.5, 0.8, 1.0]", "[0.5, 1.0]"),
    (trusted, "modules/identity/main.tf", "/subject/${each.value.subject}", "/*"),
    (
        trusted,
        "modules/identity/main.tf",
        "apply = [var.environment]",
        "apply = keys(var.trusted)",
    ),
    (
        trusted,
        "modules/identity/main.tf",
        "assertion.repository_id == '${local.id}' && ",
        "",
    ),
    (
        trusted,
        "modules/identity/main.tf",
        "assertion.repository_id + ':' + assertion.environment",
        "assertion.environment",
    ),
]
