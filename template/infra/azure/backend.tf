# The environment's own storage, which bootstrap/ makes and src/mlops/infra/azure.py names. A lease on the
# blob keeps a second apply out.
terraform {
  backend "azurerm" {
    use_azuread_auth = true # no account key
    container_name   = "state"
    key              = "infra.tfstate"
  }
}
