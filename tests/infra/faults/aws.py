from ..policies import (
    budgeted,
    no_keys,
    no_public_storage,
    no_wildcards,
    tagged,
    trusted,
)

FAULTS = [
    (
        no_wildcards,
        "modules/identity/rights.tf",
        '["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]',
        '["s3:*"]',
    ),
    (
        no_wildcards,
        "modules/storage/main.tf",
        'Principal = { AWS = "arn:aws:iam::${var.place.account}:root" }',
        'Principal = { AWS = "*" }',
    ),
    (
        no_public_storage,
        "modules/storage/main.tf",
        "block_public_policy     = true",
        "block_public_policy     = false",
    ),
    (
        no_public_storage,
        "bootstrap/main.tf",
        "restrict_public_buckets = true",
        "restrict_public_buckets = false",
    ),
    (
        no_public_storage,
        "modules/storage/main.tf",
        'resource "aws_s3_bucket" "data" {',
        'resource "aws_s3_bucket" "more" {\n  bucket = "more"\n}\n'
        'resource "aws_s3_bucket" "data" {',
    ),
    (no_keys, "main.tf", "input = { on", 'input = { access_key = "example", on'),
    (tagged, "main.tf", "    data-class  = var.data_class\n", ""),
    (tagged, "main.tf", "= var.environment\n    owner", '= "dev"\n    owner'),
    (tagged, "terraform.tfvars", '"ml-team"', '""'),
    (budgeted, "modules/budget/main.tf", '[80, "ACTUAL"], ', ""),
    (budgeted, "modules/budget/main.tf", "= var.budget.emails", "= []"),
    (trusted, "modules/identity/main.tf", ":environment:${name}", ":ref:refs/heads/main"),
    (trusted, "modules/identity/main.tf", ":environment:${name}", ":environment:*"),
    (trusted, "modules/identity/main.tf", "@${var.repository.id}", ""),
    (
        trusted,
        "modules/identity/main.tf",
        "apply = [var.place.environment]",
        "apply = local.trusted",
    ),
    (
        trusted,
        "modules/identity/main.tf",
        '{ "${local.issuer}:aud" = local.platform.audience }',
        "{}",
    ),
]
