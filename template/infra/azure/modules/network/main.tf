# network.private: everything is reached from inside one network, by private endpoints and their names.
locals {
  zones = toset(flatten([for target in values(var.targets) : target.zones]))
}

resource "azurerm_virtual_network" "this" {
  name                = var.place.name
  resource_group_name = var.place.group
  location            = var.place.location
  tags                = var.place.tags
  address_space       = [var.cidr]
}

resource "azurerm_subnet" "this" {
  name                              = "endpoints"
  resource_group_name               = var.place.group
  virtual_network_name              = azurerm_virtual_network.this.name
  address_prefixes                  = [var.cidr]
  private_endpoint_network_policies = "NetworkSecurityGroupEnabled"
  default_outbound_access_enabled   = false
}

# No rule of its own: a group lets the network in, and nobody from outside.
resource "azurerm_network_security_group" "this" {
  name                = var.place.name
  resource_group_name = var.place.group
  location            = var.place.location
  tags                = var.place.tags
}

resource "azurerm_subnet_network_security_group_association" "this" {
  subnet_id                 = azurerm_subnet.this.id
  network_security_group_id = azurerm_network_security_group.this.id
}

resource "azurerm_private_dns_zone" "this" {
  for_each = local.zones

  name                = each.value
  resource_group_name = var.place.group
  tags                = var.place.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  for_each = local.zones

  name                  = var.place.name
  resource_group_name   = var.place.group
  private_dns_zone_name = azurerm_private_dns_zone.this[each.key].name
  virtual_network_id    = azurerm_virtual_network.this.id
  tags                  = var.place.tags
}

resource "azurerm_private_endpoint" "this" {
  for_each = var.targets

  name                = "${var.place.name}-${each.key}"
  resource_group_name = var.place.group
  location            = var.place.location
  tags                = var.place.tags
  subnet_id           = azurerm_subnet.this.id

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = each.value.id
    subresource_names              = [each.key]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [for zone in each.value.zones : azurerm_private_dns_zone.this[zone].id]
  }
}
