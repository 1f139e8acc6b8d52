# Before the first release there is no endpoint: nothing fails. After it, it is watched.
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
  endpoint       = "example-prod"
  callers        = { pipeline = "p" }
  workspace_logs = "logs"
}

run "before" {
  module {
    source = "./modules/serving"
  }
  assert {
    condition     = length(azurerm_monitor_diagnostic_setting.endpoint) == 0
    error_message = "logs of what is not there"
  }
  assert {
    condition     = toset(azurerm_role_definition.caller.permissions[0].actions) == toset(["Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"])
    error_message = "a caller may do more than call"
  }
}

run "after" {
  module {
    source = "./modules/serving"
  }
  override_data {
    target = data.azurerm_resources.endpoint
    values = { resources = [
      { id = "/w/onlineEndpoints/example-prod", location = "westeurope", name = "w/example-prod", resource_group_name = "g", tags = {}, type = "t" },
      { id = "/w/onlineEndpoints/another", location = "westeurope", name = "w/another", resource_group_name = "g", tags = {}, type = "t" },
    ] }
  }
  assert {
    condition     = output.endpoint_ids == { example-prod = "/w/onlineEndpoints/example-prod" }
    error_message = jsonencode(output.endpoint_ids)
  }
  assert {
    condition     = length(azurerm_monitor_diagnostic_setting.endpoint) == 1
    error_message = "its traffic is not logged"
  }
}
