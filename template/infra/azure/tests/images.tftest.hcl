# Only the owner's pipeline pushes: an image is what production runs.
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
  network = { private = false, cidr = "10.20.0.0/24", allowed = [] }
  name    = "example"
  pushers = { pipeline = "p" }
  pullers = { workspace = "w", jobs = "j" }
}

run "owner" {
  module {
    source = "./modules/images"
  }
  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "somebody may come without a login"
  }
  assert {
    condition     = length(azurerm_role_assignment.push) == 1 && length(azurerm_role_assignment.pull) == 2
    error_message = "the owner's pipeline can't push"
  }
}
