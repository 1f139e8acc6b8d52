# Two identities of Terraform: `plan` reads, also for a pull request, which nobody has approved as yet;
# `apply` owns the environment's resource group, and nothing else.
locals {
  trusted = {
    plan  = distinct([var.environment, "dev"]) # nobody must approve what runs in dev
    apply = [var.environment]
  }
  scopes = {
    environment = azurerm_resource_group.environment.id
    state       = azurerm_storage_container.state.id
  }
  rights = merge([for identity, roles in {
    plan = {
      "Reader"                   = "environment"
      "Storage Blob Data Reader" = "state" # it takes no lock: -lock=false
    }
    apply = {
      "apply"                         = "environment" # the role below
      "Reader"                        = "environment"
      "Storage Blob Data Contributor" = "state"
    }
  } : { for role, scope in roles : "${identity} ${role}" => { identity = identity, role = role, scope = scope } }]...)
  credentials = merge([for identity, trust in module.trust : {
    for name, subject in trust.subjects : "${identity} ${name}" => { identity = identity, name = name, subject = subject }
  }]...)
}

module "trust" {
  source   = "../modules/identity/trust"
  for_each = local.trusted

  ci           = var.ci
  repository   = var.repository
  environments = each.value
}

resource "azurerm_user_assigned_identity" "this" {
  for_each = local.trusted

  name                = "${var.project}-${var.environment}-${each.key}"
  resource_group_name = azurerm_resource_group.state.name
  location            = azurerm_resource_group.state.location
  tags                = local.tags
}

# Whom CI jobs act as: what it may do, and whom it trusts, is for .. to say.
resource "azurerm_user_assigned_identity" "pipeline" {
  name                = "${var.project}-${var.environment}-pipeline"
  resource_group_name = azurerm_resource_group.environment.name
  location            = azurerm_resource_group.environment.location
  tags                = local.tags
}

resource "azurerm_federated_identity_credential" "this" {
  for_each = local.credentials

  name                      = each.value.name
  user_assigned_identity_id = azurerm_user_assigned_identity.this[each.value.identity].id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = module.trust[each.value.identity].issuer
  subject                   = each.value.subject
}

# What .. makes. There are roles and their assignments among it: whoever applies could give itself any right
# there is in this group. That is why an apply waits for the same approval as a release.
resource "azurerm_role_definition" "apply" {
  #checkov:skip=CKV_AZURE_39: It ends at the resource group; each action is of one kind of thing
  name              = "${var.project}-${var.environment} apply" # unique in the tenant
  scope             = azurerm_resource_group.environment.id
  assignable_scopes = [azurerm_resource_group.environment.id]
  description       = "Makes the infrastructure of ${var.environment}; reads no data."

  permissions {
    actions = [for kind in [
      "AlertsManagement/smartDetectorAlertRules", "Authorization/locks", "Authorization/roleAssignments",
      "Authorization/roleDefinitions", "Authorization/roleEligibilityScheduleRequests",
      "Authorization/roleEligibilitySchedules", "Authorization/roleManagementPolicies",
      "Authorization/roleManagementPolicyAssignments", "Consumption/budgets", "ContainerRegistry/registries",
      "EventGrid/eventSubscriptions", "EventGrid/systemTopics", "Insights/actionGroups", "Insights/components",
      "Insights/diagnosticSettings", "Insights/metricAlerts", "Insights/scheduledQueryRules",
      "Insights/workbooks", "KeyVault/vaults", "MachineLearningServices/workspaces",
      "ManagedIdentity/userAssignedIdentities", "Network/networkSecurityGroups", "Network/privateDnsZones",
      "Network/privateEndpoints", "Network/virtualNetworks", "OperationalInsights/workspaces",
      "Storage/storageAccounts",
    ] : "Microsoft.${kind}/*"]
  }
}

resource "azurerm_role_assignment" "this" {
  for_each = local.rights

  scope                = local.scopes[each.value.scope]
  role_definition_id   = each.value.role == "apply" ? azurerm_role_definition.apply.role_definition_resource_id : null
  role_definition_name = each.value.role == "apply" ? null : each.value.role
  principal_id         = azurerm_user_assigned_identity.this[each.value.identity].principal_id
  principal_type       = "ServicePrincipal"
}

# An owner of the subscription may not write a state by that alone.
resource "azurerm_role_assignment" "admins" {
  for_each = setunion([data.azurerm_client_config.this.object_id], var.admins)

  scope                = azurerm_storage_container.state.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = each.value
}
