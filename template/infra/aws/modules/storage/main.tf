# The bucket: data and DVC's cache, journals, jobs, files of the registry. And the key of all of it.
locals {
  arn   = "arn:aws:s3:::${var.bucket}"
  roots = [for account in var.accounts : "arn:aws:iam::${account}:root"]
  # Environments in other accounts, held to roles by name: a policy can't name a role that isn't there yet.
  read  = { ArnLike = { "aws:PrincipalArn" = var.readers } }
  guest = { ArnLike = { "aws:PrincipalArn" = var.guests } }
  shared = [
    for statement in [
      {
        Sid       = "OtherEnvironmentsRead"
        Effect    = "Allow"
        Principal = { AWS = local.roots }
        Action    = ["s3:GetObject"]
        Resource  = ["${local.arn}/dvc/*", "${local.arn}/${var.place.project}/registry/*", "${local.arn}/replica/*"]
        Condition = local.read
      },
      {
        Sid       = "OtherEnvironmentsList"
        Effect    = "Allow"
        Principal = { AWS = local.roots }
        Action    = ["s3:ListBucket"]
        Resource  = [local.arn]
        Condition = local.read
      },
      {
        Sid       = "OtherPipelinesNoteAndHandOver"
        Effect    = "Allow"
        Principal = { AWS = local.roots }
        Action    = ["s3:PutObject"]
        Resource  = ["${local.arn}/${var.place.project}/registry/*/facts.json", "${local.arn}/replica/*"]
        Condition = local.guest
      },
    ] : statement if length(local.roots) > 0 && length(var.guests) > 0
  ]
  # Also of those who administer the account: data comes from the project's own identities only.
  guarded = [
    for statement in [
      {
        Sid       = "OnlyOwnIdentitiesWrite"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"]
        Resource  = ["${local.arn}/*"]
        Condition = { ArnNotLike = { "aws:PrincipalArn" = concat(var.writers, var.guests) } }
      },
    ] : statement if var.protect
  ]
}

resource "aws_s3_bucket" "data" {
  #checkov:skip=CKV_AWS_144: a second region doubles the cost; versions and the key's region are what is promised
  #checkov:skip=CKV_AWS_18: who read what is CloudTrail's data events, which the account's trail records
  #checkov:skip=CKV2_AWS_62: nothing waits for objects; events are SageMaker's
  bucket        = var.bucket
  force_destroy = !var.protect
}

resource "aws_s3_bucket_versioning" "data" {
  bucket = aws_s3_bucket.data.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "data" {
  bucket = aws_s3_bucket.data.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.main.arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "data" {
  bucket                  = aws_s3_bucket.data.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "data" {
  bucket = aws_s3_bucket.data.id
  rule { object_ownership = "BucketOwnerEnforced" }
}

resource "aws_s3_bucket_lifecycle_configuration" "data" {
  bucket     = aws_s3_bucket.data.id
  depends_on = [aws_s3_bucket_versioning.data]

  rule {
    id     = "versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration { noncurrent_days = var.versions }
    abort_incomplete_multipart_upload { days_after_initiation = 7 }
  }
  rule {
    id     = "jobs" # what a job's caller did not live to remove
    status = "Enabled"
    filter { prefix = "${var.place.project}/jobs/" }
    expiration { days = 30 }
  }
}

resource "aws_s3_bucket_policy" "data" {
  bucket = aws_s3_bucket_public_access_block.data.bucket
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "s3:*"
        Resource  = [local.arn, "${local.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ], local.shared, local.guarded)
  })
}

resource "aws_kms_key" "main" {
  description             = "${var.bucket}: data, logs, messages"
  enable_key_rotation     = true
  deletion_window_in_days = var.protect ? 30 : 7
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "TheAccountsOwnPoliciesDecide"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${var.place.account}:root" }
        Action = [
          "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:CreateGrant", "kms:Decrypt", "kms:DeleteAlias",
          "kms:DescribeKey", "kms:DisableKey", "kms:EnableKey", "kms:EnableKeyRotation", "kms:Encrypt",
          "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:GetKeyPolicy",
          "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListGrants", "kms:ListKeyPolicies",
          "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ReEncryptFrom", "kms:ReEncryptTo",
          "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource",
          "kms:UpdateAlias", "kms:UpdateKeyDescription",
        ]
        Resource = "*" # of a key's policy: this key
      },
      {
        Sid       = "AlarmsAndEventsPublish"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = var.place.account } }
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.place.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.place.region}:${var.place.account}:log-group:/aws/sagemaker/*" } }
      },
      ], [
      for statement in [
        {
          Sid       = "OtherEnvironmentsRead"
          Effect    = "Allow"
          Principal = { AWS = local.roots }
          Action    = ["kms:Decrypt"]
          Resource  = "*"
          Condition = local.read
        },
        {
          Sid       = "OtherPipelinesNoteAndHandOver"
          Effect    = "Allow"
          Principal = { AWS = local.roots }
          Action    = ["kms:GenerateDataKey"]
          Resource  = "*"
          Condition = local.guest
        },
      ] : statement if length(local.roots) > 0 && length(var.guests) > 0
    ])
  })
}

resource "aws_kms_alias" "main" {
  name          = "alias/${var.bucket}"
  target_key_id = aws_kms_key.main.key_id
}
