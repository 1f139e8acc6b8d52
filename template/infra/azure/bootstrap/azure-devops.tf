# Pipelines of Azure DevOps log in by a service connection to one environment. It has no key: issuer and
# subject are the platform's to say, so they are read from it. Which pipelines may use it is asked at their
# first run. The provider logs in by AZDO_ORG_SERVICE_URL and `az login`.
data "azurerm_subscription" "this" {}

data "azuredevops_project" "this" {
  name = split("/", var.repository.path)[1]
}

resource "azuredevops_serviceendpoint_azurerm" "this" {
  project_id                             = data.azuredevops_project.this.id
  service_endpoint_name                  = "${var.project}-${var.environment}"
  service_endpoint_authentication_scheme = "WorkloadIdentityFederation"
  azurerm_spn_tenantid                   = data.azurerm_client_config.this.tenant_id
  azurerm_subscription_id                = local.names.subscription
  azurerm_subscription_name              = data.azurerm_subscription.this.display_name

  credentials {
    serviceprincipalid = azurerm_user_assigned_identity.pipeline.client_id
  }
}

data "azuredevops_serviceendpoint_azurerm" "dev" {
  count = var.environment == "dev" ? 0 : 1

  project_id            = data.azuredevops_project.this.id
  service_endpoint_name = "${var.project}-dev" # dev comes first
}

locals {
  connections = merge(
    { (var.environment) = azuredevops_serviceendpoint_azurerm.this },
    { for one in data.azuredevops_serviceendpoint_azurerm.dev : "dev" => one },
  )
  connected = merge([for identity, environments in merge(local.trusted, { pipeline = [var.environment] }) : {
    for environment in environments : "${identity} ${environment}" => { identity = identity, environment = environment }
  }]...)
}

resource "azurerm_federated_identity_credential" "azure_devops" {
  for_each = local.connected

  name                      = each.value.environment
  user_assigned_identity_id = each.value.identity == "pipeline" ? azurerm_user_assigned_identity.pipeline.id : azurerm_user_assigned_identity.this[each.value.identity].id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = local.connections[each.value.environment].workload_identity_federation_issuer
  subject                   = local.connections[each.value.environment].workload_identity_federation_subject
}

# The login of a pipeline's task chooses the subscription, which must be seen for that.
resource "azurerm_role_assignment" "azure_devops" {
  scope                = azurerm_resource_group.environment.id
  role_definition_name = "Reader"
  principal_id         = azurerm_user_assigned_identity.pipeline.principal_id
  principal_type       = "ServicePrincipal"
}
