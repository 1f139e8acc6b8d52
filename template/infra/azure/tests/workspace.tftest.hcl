# A workspace without keys, and machines that are gone when nothing runs.
mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  place = {
    group    = "example-prod"
    group_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/example-prod"
    location = "westeurope"
    name     = "example-prod"
    tags     = { project = "example", environment = "prod", owner = "o", cost-centre = "c", data-class = "d", compliance = "none" }
  }
  network        = { private = false, cidr = "10.20.0.0/24", allowed = [] }
  protect        = true
  tenant_id      = "11111111-1111-1111-1111-111111111111"
  name           = "example-prod"
  machine        = "Standard_DS3_v2"
  spot           = true
  nodes          = 4
  storage_id     = "storage"
  images_id      = "images"
  insights_id    = "insights"
  workspace_logs = "logs"
  jobs_id        = "jobs"
}

run "cluster" {
  module {
    source = "./modules/workspace"
  }
  variables {
    cluster = "cpu"
  }
  assert {
    condition     = azurerm_machine_learning_compute_cluster.this[0].scale_settings[0].min_node_count == 0
    error_message = "a machine is paid for while nothing runs"
  }
  assert {
    condition     = azurerm_machine_learning_compute_cluster.this[0].vm_priority == "LowPriority" && !azurerm_machine_learning_compute_cluster.this[0].local_auth_enabled
    error_message = "not spot, though training.spot asks for it; or reached by a password"
  }
  assert {
    condition     = azurerm_machine_learning_workspace.this.storage_account_access_type == "Identity"
    error_message = "the workspace asks for the account's key, which there is none of"
  }
  assert {
    condition     = azurerm_key_vault.this.rbac_authorization_enabled && azurerm_key_vault.this.purge_protection_enabled
    error_message = "the vault lets in by policies of its own, or can be purged"
  }
  assert {
    condition     = length(azurerm_key_vault.this.name) <= 24 && can(regex("^[a-z][a-z0-9-]*[a-z0-9]$", azurerm_key_vault.this.name))
    error_message = "Azure refuses this name: ${azurerm_key_vault.this.name}"
  }
}

run "serverless" {
  module {
    source = "./modules/workspace"
  }
  variables {
    cluster = ""
  }
  assert {
    condition     = length(azurerm_machine_learning_compute_cluster.this) == 0
    error_message = "a cluster that environments/*.yaml does not name"
  }
}

run "a_long_name" {
  module {
    source = "./modules/workspace"
  }
  variables {
    cluster = ""
    place = {
      group = "g", group_id = "/subscriptions/0/resourceGroups/g", location = "westeurope", tags = {}
      name  = "a-project-whose-name-is-forty-letters-lo-staging"
    }
  }
  assert {
    condition     = length(azurerm_key_vault.this.name) == 24
    error_message = "Azure refuses this name: ${azurerm_key_vault.this.name}"
  }
}
