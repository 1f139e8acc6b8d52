# An environment's state is its own: its identities reach its group and its state, nothing else.
mock_provider "azurerm" {
  override_during = plan
  mock_resource "azurerm_resource_group" {
    defaults = { id = "/group" }
  }
  mock_resource "azurerm_storage_container" {
    defaults = { id = "/state" }
  }
}
mock_provider "azuredevops" {}

variables {
  environment = "prod"
  project     = "example"
  repository  = { path = "owner/example", owner_id = "1", id = "2" }
  ci          = "github"
  owner       = "team"
  cost_centre = "none"
  compliance  = "none"
  protect     = true
}

run "state" {
  command = plan

  assert {
    condition     = !azurerm_storage_account.state.shared_access_key_enabled && !azurerm_storage_account.state.allow_nested_items_to_be_public && azurerm_storage_account.state.blob_properties[0].versioning_enabled
    error_message = "the state is open, or has no versions"
  }
  assert {
    condition     = strcontains(local.names.container, "://${trimsuffix(azurerm_storage_account.state.name, "state")}.blob.") && length(azurerm_storage_account.state.name) <= 24
    error_message = "not the account that mlops looks for: ${azurerm_storage_account.state.name}"
  }
  assert {
    condition     = length(azurerm_management_lock.state) == 1
    error_message = "protect does not hold for the state"
  }
}

run "identities" {
  command = plan

  assert {
    condition = { for key, one in azurerm_federated_identity_credential.this : key => one.subject } == {
      "plan prod"  = "repo:owner@1/example@2:environment:prod"
      "plan dev"   = "repo:owner@1/example@2:environment:dev"
      "apply prod" = "repo:owner@1/example@2:environment:prod"
    }
    error_message = "trusts more than the environment's own plan and apply"
  }
  assert {
    condition     = alltrue([for key, one in azurerm_role_assignment.this : endswith(one.role_definition_name, "Reader") if startswith(key, "plan ")])
    error_message = "a plan may write"
  }
  assert {
    condition     = toset([for one in azurerm_role_assignment.this : one.scope]) == toset(["/group", "/state"])
    error_message = "a right reaches beyond the environment's group and its state"
  }
}

run "rights" {
  command = plan

  assert {
    # Of a kind of thing, not of all of a service.
    condition     = alltrue([for action in azurerm_role_definition.apply.permissions[0].actions : can(regex("^Microsoft[.][A-Za-z]+/[A-Za-z]+/", action))])
    error_message = "whoever applies may do more than what .. makes"
  }
}

run "unprotected" {
  command = plan
  variables {
    protect = false
  }
  assert {
    condition     = length(azurerm_management_lock.state) == 0
    error_message = "a destroy would stop at the lock"
  }
}
