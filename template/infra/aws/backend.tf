# The state lies in the environment's own account, encrypted, with every version kept; a lock file keeps a
# second apply out. bootstrap/ makes the bucket; its name and region come from `make infra-plan`.
terraform {
  backend "s3" {
    encrypt      = true
    use_lockfile = true
    key          = "infra/terraform.tfstate"
  }
}
