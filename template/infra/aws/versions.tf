terraform {
  required_version = ">= 1.11, < 2"
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 6.25, < 7" }
  }
}

# Credentials are whose this runs: a person's (`aws sso login`) or a job's own. Never a key.
provider "aws" {
  region              = local.names.region
  allowed_account_ids = [local.names.account]
  default_tags { tags = local.tags }
}
