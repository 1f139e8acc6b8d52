# What an environment's infrastructure needs before it can be: the state's storage, its resource group, and
# the identities of pipelines. `make infra-bootstrap ENV=dev` makes it, once, dev's first; whoever runs it
# owns the subscription. What it prints belongs into environments/dev.yaml and the CI platform. Then `make
# infra-apply ENV=dev`: who plans in a pipeline may only read a state, not make one.
# Its own state stays on this machine, in terraform.tfstate.d/, a workspace for each environment; no secret
# is in it.
terraform {
  required_version = ">= 1.11, < 2"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.81, < 6"
    }
  }
}

provider "azurerm" {
  subscription_id                 = local.names.subscription
  storage_use_azuread             = true
  resource_provider_registrations = "none"
  resource_providers_to_register = [
    "Microsoft.Authorization", "Microsoft.Consumption", "Microsoft.ContainerRegistry", "Microsoft.EventGrid",
    "Microsoft.Insights", "Microsoft.KeyVault", "Microsoft.MachineLearningServices", "Microsoft.ManagedIdentity",
    "Microsoft.Network", "Microsoft.OperationalInsights", "Microsoft.Storage",
  ]

  features {
    storage {
      data_plane_available = false # as in ../versions.tf
    }
  }
}

locals {
  names   = yamldecode(file("${path.root}/../../../environments/${var.environment}.yaml")).cloud
  account = regex("^https://([a-z0-9]{3,24})[.]blob[.]", local.names.container)[0]
  tags = {
    project     = var.project
    environment = var.environment
    owner       = var.owner
    cost-centre = var.cost_centre
    data-class  = "confidential" # a state tells what is where
    compliance  = var.compliance
  }
}

data "azurerm_client_config" "this" {}

resource "azurerm_resource_group" "environment" {
  name     = local.names.resource_group
  location = local.names.location
  tags     = local.tags
}

resource "azurerm_resource_group" "state" {
  name     = "${local.names.resource_group}-state"
  location = local.names.location
  tags     = local.tags
}

resource "azurerm_storage_account" "state" {
  #checkov:skip=CKV_AZURE_33: It has no queues
  #checkov:skip=CKV_AZURE_59: Hosted runners come over the internet, by their login
  #checkov:skip=CKV_AZURE_206: Copies in three zones
  #checkov:skip=CKV2_AZURE_1: Encrypted by Azure's keys; a key of one's own is a policy of the organisation
  #checkov:skip=CKV2_AZURE_33: Hosted runners come over the internet, by their login
  name                = "${local.account}state" # src/mlops/infra/azure.py says the same
  resource_group_name = azurerm_resource_group.state.name
  location            = azurerm_resource_group.state.location
  tags                = local.tags

  account_tier                      = "Standard"
  account_replication_type          = "ZRS"
  infrastructure_encryption_enabled = true
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  local_user_enabled                = false
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = 90
    }
    container_delete_retention_policy {
      days = 90
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.account) <= 19
      error_message = "cloud.container: ${local.account} is too long by ${length(local.account) - 19} letters, as the state's account is called ${local.account}state, of 24 at most."
    }
  }
}

resource "azurerm_storage_container" "state" {
  #checkov:skip=CKV2_AZURE_21: Every change of the state is a version of its blob
  name                  = "state"
  storage_account_id    = azurerm_storage_account.state.id
  container_access_type = "private"
}

resource "azurerm_management_lock" "state" {
  count = var.protect ? 1 : 0

  name       = "state"
  scope      = azurerm_storage_account.state.id
  lock_level = "CanNotDelete"
  notes      = "Terraform's state. `protect` of the environment's tfvars takes it off."
}

# The switch, as in ../main.tf. An apply for another environment on this one's state would replace it: that is refused, too.
resource "terraform_data" "protect" {
  input            = var.protect
  triggers_replace = var.environment

  provisioner "local-exec" {
    when    = destroy
    command = self.input ? "echo 'protect is true: set it to false and apply, then destroy.' >&2; exit 1" : "true"
  }

  depends_on = [
    azurerm_resource_group.environment, azurerm_storage_container.state, azurerm_role_assignment.this,
    azurerm_role_assignment.admins, azurerm_federated_identity_credential.this,
  ]
}
