# Nobody but the pipeline writes in production, and nobody outside the environment at all.
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
  trust     = { issuer = "https://token.actions.githubusercontent.com", subjects = { environment = "repo:acme@12/delays@34:environment:prod" } }
  elevation = { hours = 4, days = 180 }
  people = {
    data_scientist = ["ds"], ml_engineer = ["ml"], model_validator = ["mv"], operator = ["op"], auditor = ["au"]
  }
}

run "protected" {
  module {
    source = "./modules/identity"
  }
  variables {
    protected = true
  }

  assert {
    condition     = [for one in azurerm_federated_identity_credential.pipeline : one.subject] == ["repo:acme@12/delays@34:environment:prod"]
    error_message = "the pipeline's identity trusts somebody else"
  }
  assert {
    condition = alltrue([
      for key in keys(azurerm_role_assignment.people) :
      contains(["viewer", "Reader", "Monitoring Reader", "Log Analytics Reader", "Storage Blob Data Reader"], regex("^[a-z_]+ (.+) [^ ]+$", key)[0])
    ])
    error_message = "somebody may write: ${jsonencode(keys(azurerm_role_assignment.people))}"
  }
  assert {
    condition     = toset(keys(azurerm_pim_eligible_role_assignment.people)) == toset(["ml_engineer releaser ml", "operator releaser op", "model_validator validator mv"])
    error_message = jsonencode(keys(azurerm_pim_eligible_role_assignment.people))
  }
  assert {
    condition     = alltrue([for one in azurerm_pim_eligible_role_assignment.people : one.schedule[0].expiration[0].duration_days == 180])
    error_message = "an eligibility never ends"
  }
  assert {
    condition     = alltrue([for one in azurerm_role_management_policy.elevated : one.activation_rules[0].maximum_duration == "PT4H" && one.activation_rules[0].require_justification])
    error_message = "an activation is longer than asked for, or needs no reason"
  }
  assert {
    condition = alltrue(flatten([for role in azurerm_role_definition.custom : [
      for action in concat(tolist(role.permissions[0].actions), tolist(role.permissions[0].data_actions)) : !strcontains(action, "*")
    ]]))
    error_message = "a role has a wildcard"
  }
  assert {
    condition = alltrue([
      for one in concat(values(azurerm_role_assignment.machines), values(azurerm_role_assignment.people)) : one.scope == var.place.group_id
    ])
    error_message = "a right reaches beyond the environment's resource group"
  }
}

run "open" {
  module {
    source = "./modules/identity"
  }
  variables {
    protected = false
  }

  assert {
    condition     = contains(keys(azurerm_role_assignment.people), "data_scientist AzureML Data Scientist ds")
    error_message = "a data scientist can't work where the work is done"
  }
  assert {
    condition     = length(azurerm_pim_eligible_role_assignment.people) == 0
    error_message = "nothing is to be activated there"
  }
}

run "without_privileged_identity_management" {
  module {
    source = "./modules/identity"
  }
  variables {
    protected = true
    elevation = null
  }

  assert {
    condition     = length(azurerm_pim_eligible_role_assignment.people) + length(azurerm_role_management_policy.elevated) == 0
    error_message = "it needs a licence that is not there"
  }
}
