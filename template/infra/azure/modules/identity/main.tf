# The environment's two identities. Nobody's key: CI jobs come by OIDC, jobs of Azure ML by the machine they
# run on. Rights end at the environment's resource group: that is what keeps dev out of prod.
data "azurerm_user_assigned_identity" "pipeline" {
  name                = "${var.place.name}-pipeline" # bootstrap made it, as a service connection must name it
  resource_group_name = var.place.group
}

resource "azurerm_user_assigned_identity" "jobs" {
  name                = "${var.place.name}-jobs"
  resource_group_name = var.place.group
  location            = var.place.location
  tags                = var.place.tags
}

locals {
  rights = {
    pipeline = [
      "AzureML Data Scientist",        # models, jobs, endpoints; no compute, no rights of others
      "Storage Blob Data Contributor", # journals, models, data
      "Monitoring Reader",             # a release's figures
    ]
    jobs = ["AzureML Data Scientist", "Storage Blob Data Contributor"]
  }
  principals = {
    pipeline = data.azurerm_user_assigned_identity.pipeline.principal_id
    jobs     = azurerm_user_assigned_identity.jobs.principal_id
  }
  machines = merge([for name, roles in local.rights : {
    for role in roles : "${name} ${role}" => { identity = name, role = role }
  }]...)
}

resource "azurerm_federated_identity_credential" "pipeline" {
  for_each = var.trust.subjects

  name                      = each.key
  user_assigned_identity_id = data.azurerm_user_assigned_identity.pipeline.id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = var.trust.issuer
  subject                   = each.value
}

resource "azurerm_role_assignment" "machines" {
  for_each = local.machines

  scope                = var.place.group_id
  role_definition_name = each.value.role
  principal_id         = local.principals[each.value.identity]
  principal_type       = "ServicePrincipal" # a new one is not found in Entra at once
}
