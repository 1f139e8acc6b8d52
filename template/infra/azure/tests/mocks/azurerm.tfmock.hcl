# Answers in the form of Azure's; a mock's own would be random words.
mock_data "azurerm_client_config" {
  defaults = {
    subscription_id = "00000000-0000-0000-0000-000000000000"
    tenant_id       = "11111111-1111-1111-1111-111111111111"
    object_id       = "22222222-2222-2222-2222-222222222222"
  }
}
mock_data "azurerm_resource_group" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/example"
  }
}
mock_data "azurerm_resources" {
  defaults = { resources = [] }
}
mock_resource "azurerm_machine_learning_workspace" {
  defaults = {
    identity = { principal_id = "33333333-3333-3333-3333-333333333333" }
  }
}
mock_resource "azurerm_user_assigned_identity" {
  defaults = { principal_id = "44444444-4444-4444-4444-444444444444" }
}
