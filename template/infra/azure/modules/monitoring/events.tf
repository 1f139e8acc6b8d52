# What happens in the workspace, as messages in a queue of the account: whoever wants to act on it reads
# there, by the login of its own.
resource "azurerm_storage_queue" "events" {
  name               = "events"
  storage_account_id = var.storage_id
}

resource "azurerm_eventgrid_system_topic" "this" {
  name                = var.place.name # 50 characters at most
  resource_group_name = var.place.group
  location            = var.place.location
  tags                = var.place.tags
  source_resource_id  = var.ml_workspace
  topic_type          = "Microsoft.MachineLearningServices.Workspaces"

  identity {
    type = "SystemAssigned"
  }
}

resource "azurerm_role_assignment" "topic" {
  scope                = azurerm_storage_queue.events.id
  role_definition_name = "Storage Queue Data Message Sender"
  principal_id         = azurerm_eventgrid_system_topic.this.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_eventgrid_system_topic_event_subscription" "this" {
  name                  = "events"
  resource_group_name   = var.place.group
  system_topic          = azurerm_eventgrid_system_topic.this.name
  event_delivery_schema = "CloudEventSchemaV1_0"
  included_event_types = [
    for name in ["ModelRegistered", "ModelDeployed", "RunCompleted", "RunStatusChanged", "DatasetDriftDetected"] :
    "Microsoft.MachineLearningServices.${name}"
  ]

  delivery_identity {
    type = "SystemAssigned"
  }

  storage_queue_endpoint {
    storage_account_id                    = var.storage_id
    queue_name                            = azurerm_storage_queue.events.name
    queue_message_time_to_live_in_seconds = 604800 # a week
  }

  depends_on = [azurerm_role_assignment.topic]
}
