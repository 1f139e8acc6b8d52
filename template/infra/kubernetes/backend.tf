# A Secret in the environment's own namespace for state, which bootstrap/ makes, locked by a Lease. Which
# one it is, src/mlops/infra/kubernetes.py says.
terraform {
  backend "kubernetes" {
    secret_suffix = "infra" # pragma: allowlist secret
  }
}
