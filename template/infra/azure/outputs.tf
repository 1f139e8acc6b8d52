output "cloud" {
  description = "What environments/<environment>.yaml says under cloud, as it was made."
  value = {
    subscription   = local.names.subscription
    resource_group = local.place.group
    workspace      = module.workspace.name
    location       = local.place.location
    container      = module.storage.container
    image          = "${local.registry}.azurecr.io/${regex("/(.+)$", local.names.image)[0]}"
    job_image      = try("${local.registry}.azurecr.io/${regex("/(.+)$", local.names.job_image)[0]}", null)
    compute        = module.workspace.cluster
    endpoint       = module.serving.endpoint
  }
}

output "variables" {
  description = "The variables of this environment in the CI platform, by which its jobs log in. None is secret."
  value = {
    AZURE_CLIENT_ID = module.identity.pipeline.client_id
    AZURE_TENANT_ID = data.azurerm_client_config.this.tenant_id
  }
}

output "image_readers" {
  description = "Object ids that pull images, for image_readers of dev."
  value       = [module.identity.pipeline.principal_id, module.identity.jobs.principal_id, module.workspace.principal_id]
}

output "jobs" {
  description = "The object id of the jobs' identity, for replica_readers of production."
  value       = module.identity.jobs.principal_id
}

output "personas" {
  description = "Who may do what here: roles by persona, standing and to be activated."
  value       = module.identity.personas
}

output "insights" {
  description = "Where servers send their telemetry. It is an address, and lets in nobody who reads."
  value       = module.monitoring.connection_string
  sensitive   = true
}
