# The trust is what the connection says, never put together here; and the connection has no key.
mock_provider "azurerm" {
  override_during = plan
}
mock_provider "azuredevops" {
  override_during = plan
  mock_resource "azuredevops_serviceendpoint_azurerm" {
    defaults = {
      workload_identity_federation_issuer  = "https://login.microsoftonline.com/tenant/v2.0"
      workload_identity_federation_subject = "/eid1/c/pub/t/x/sc/org/prod"
    }
  }
  mock_data "azuredevops_serviceendpoint_azurerm" {
    defaults = {
      workload_identity_federation_issuer  = "https://login.microsoftonline.com/tenant/v2.0"
      workload_identity_federation_subject = "/eid1/c/pub/t/x/sc/org/dev"
    }
  }
}

variables {
  environment = "prod"
  project     = "example"
  repository  = { path = "organisation/example" }
  ci          = "azure-devops"
  owner       = "team"
  cost_centre = "none"
  compliance  = "none"
  protect     = true
}

run "connection" {
  command = plan

  assert {
    condition = { for key, one in azurerm_federated_identity_credential.azure_devops : key => one.subject } == {
      "plan prod"     = "/eid1/c/pub/t/x/sc/org/prod"
      "plan dev"      = "/eid1/c/pub/t/x/sc/org/dev"
      "apply prod"    = "/eid1/c/pub/t/x/sc/org/prod"
      "pipeline prod" = "/eid1/c/pub/t/x/sc/org/prod"
    }
    error_message = "not the connections' own subjects"
  }
  assert {
    condition     = azuredevops_serviceendpoint_azurerm.this.service_endpoint_name == "example-prod"
    error_message = "the pipelines ask for <project>-<environment>"
  }
  assert {
    condition     = azuredevops_serviceendpoint_azurerm.this.service_endpoint_authentication_scheme == "WorkloadIdentityFederation"
    error_message = "a connection with a key"
  }
}

run "dev" {
  command = plan
  variables {
    environment = "dev"
  }
  assert {
    condition     = length(data.azuredevops_serviceendpoint_azurerm.dev) == 0
    error_message = "dev asks for what it makes itself"
  }
}
