# The endpoint is the releases' (src/mlops/release/targets/azure.py): azurerm has no resource for it, and
# blue-green needs none. Here is who may call it, and, from the apply after the first release on, its logs.

resource "azurerm_role_definition" "caller" {
  name              = "${var.place.name} caller"
  scope             = var.place.group_id
  assignable_scopes = [var.place.group_id]
  description       = "Calls the endpoint, by a token of Entra ID."

  permissions {
    actions = ["Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"]
  }
}

resource "azurerm_role_assignment" "callers" {
  for_each = var.callers

  scope              = var.place.group_id
  role_definition_id = azurerm_role_definition.caller.role_definition_resource_id
  principal_id       = each.value
}

# None before the first release: then a plan shows what is to be added.
data "azurerm_resources" "endpoint" {
  resource_group_name = var.place.group
  type                = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
}

locals {
  endpoints = { for one in data.azurerm_resources.endpoint.resources : var.endpoint => one.id if endswith(one.id, "/${var.endpoint}") }
}

resource "azurerm_monitor_diagnostic_setting" "endpoint" {
  for_each = local.endpoints

  name                       = "traffic"
  target_resource_id         = each.value
  log_analytics_workspace_id = var.workspace_logs

  enabled_log {
    category = "AmlOnlineEndpointTrafficLog"
  }
  enabled_log {
    category = "AmlOnlineEndpointEventLog"
  }
}
