# Half, four fifths, all of it.
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
  budget = { amount = 1000, emails = ["team@example.com"] }
}

run "alarms" {
  module {
    source = "./modules/budget"
  }
  assert {
    condition     = toset([for one in azurerm_consumption_budget_resource_group.this.notification : one.threshold if one.threshold_type == "Actual"]) == toset([50, 80, 100])
    error_message = "not at 50, 80 and 100 %"
  }
  assert {
    condition     = alltrue([for one in azurerm_consumption_budget_resource_group.this.notification : contains(one.contact_emails, "team@example.com")])
    error_message = "an alarm that nobody hears"
  }
  assert {
    condition     = azurerm_consumption_budget_resource_group.this.resource_group_id == var.place.group_id && azurerm_consumption_budget_resource_group.this.amount == 1000
    error_message = "another budget"
  }
}
