# The state's own storage, by an administrator, once for an environment and before all else:
# `make infra-bootstrap ENV=dev`. Its own state stays on that machine, in terraform.tfstate.d/, a workspace for
# each environment; no secret is in it. Where it is lost, `terraform import` of the bucket begins it anew.
terraform {
  required_version = ">= 1.11, < 2"
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 6.25, < 7" }
  }
}

# Of ../terraform.tfvars and ../environments/<environment>.tfvars.
variable "environment" { type = string }
variable "project" { type = string }
variable "owner" { type = string }
variable "cost_centre" { type = string }
variable "data_class" { type = string }
variable "compliance" { type = string }
variable "protect" { type = bool } # refuse to destroy the state

locals {
  names  = yamldecode(file("${path.root}/../../../environments/${var.environment}.yaml")).cloud
  bucket = "${local.names.bucket}-state"
  arn    = "arn:aws:s3:::${local.bucket}"
}

provider "aws" {
  region              = local.names.region
  allowed_account_ids = [local.names.account]
  default_tags {
    tags = {
      project     = var.project
      environment = var.environment
      owner       = var.owner
      cost-centre = var.cost_centre
      data-class  = var.data_class
      compliance  = var.compliance
    }
  }
}

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_144: state can be made anew by import; versions are what is promised
  #checkov:skip=CKV_AWS_18: who read what is CloudTrail's data events, which the account's trail records
  #checkov:skip=CKV2_AWS_62: nothing waits for objects
  bucket        = local.bucket
  force_destroy = !var.protect
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default { sse_algorithm = "aws:kms" } # the account's own key for S3
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket                  = aws_s3_bucket.state.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "state" {
  bucket     = aws_s3_bucket.state.id
  depends_on = [aws_s3_bucket_versioning.state]
  rule {
    id     = "versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration { noncurrent_days = 365 }
    abort_incomplete_multipart_upload { days_after_initiation = 7 }
  }
}

resource "aws_s3_bucket_policy" "state" {
  bucket = aws_s3_bucket_public_access_block.state.bucket
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "s3:*"
      Resource  = [local.arn, "${local.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

# Refuses before the bucket goes, as in the environment itself.
resource "terraform_data" "protect" {
  input      = { on = var.protect, environment = var.environment }
  depends_on = [aws_s3_bucket_versioning.state, aws_s3_bucket_policy.state]

  provisioner "local-exec" {
    when    = destroy
    command = self.input.on ? "echo 'The state of ${self.input.environment} is protected: set protect = false, apply, then destroy.' >&2; exit 1" : "true"
  }
}

output "bucket" { value = aws_s3_bucket.state.bucket }
