# Private: nothing gets in but by the network's own endpoints.
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
  cidr = "10.20.0.0/24"
  targets = {
    blob  = { id = "/storage", zones = ["privatelink.blob.core.windows.net"] }
    vault = { id = "/vault", zones = ["privatelink.vaultcore.azure.net"] }
  }
}

run "private" {
  module {
    source = "./modules/network"
  }
  assert {
    condition     = toset(keys(azurerm_private_endpoint.this)) == toset(["blob", "vault"])
    error_message = jsonencode(keys(azurerm_private_endpoint.this))
  }
  assert {
    condition     = azurerm_subnet_network_security_group_association.this.subnet_id == azurerm_subnet.this.id
    error_message = "the subnet is open"
  }
}
