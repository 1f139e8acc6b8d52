# The registry of images, of all environments. dev makes it: its pipeline pushes, and it says who pulls.
resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_139: network.private closes it; hosted runners come over the internet, by their login
  #checkov:skip=CKV_AZURE_163: packages are audited in CI (docs/security.md); Defender is the organisation's to switch on
  #checkov:skip=CKV_AZURE_164: Images are signed by cosign, not by the retired Docker Content Trust
  #checkov:skip=CKV_AZURE_165: One region; a second is the team's choice
  #checkov:skip=CKV_AZURE_166: quarantine needs a scanner that lets images out again: the organisation's, too
  #checkov:skip=CKV_AZURE_167: A version's image stays as long as the version: a rollback needs it
  #checkov:skip=CKV_AZURE_233: Zones are given by the region where they are there
  #checkov:skip=CKV_AZURE_237: Dedicated data endpoints are for firewalls: network.private has private ones
  name                          = var.name
  resource_group_name           = var.place.group
  location                      = var.place.location
  tags                          = var.place.tags
  sku                           = var.network.private ? "Premium" : "Standard" # private endpoints are Premium's
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = !var.network.private
}

resource "azurerm_role_assignment" "pull" {
  for_each = var.pullers

  scope                = azurerm_container_registry.this.id
  role_definition_name = "AcrPull"
  principal_id         = each.value
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "push" {
  for_each = var.pushers

  scope                = azurerm_container_registry.this.id
  role_definition_name = "AcrPush" # pulls, too
  principal_id         = each.value
  principal_type       = "ServicePrincipal"
}
