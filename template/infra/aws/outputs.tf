# What the code reads of `cloud`, by the same keys: a test compares them. What another environment or account
# makes is as the file says.
output "cloud" {
  description = "Names, by their keys in environments/<environment>.yaml."
  value = {
    account       = local.names.account
    region        = local.names.region
    role          = module.identity.execution
    bucket        = module.storage.bucket
    image         = try("${local.registry}${module.images.repositories.image}", local.names.image)
    job_image     = local.names.job_image
    package_group = coalesce(module.workspace.group, local.names.package_group)
  }
}

output "variables" {
  description = "The environment's variables on the CI platform."
  value = {
    AWS_ROLE_ARN       = module.identity.ci
    AWS_DEFAULT_REGION = local.names.region
    IMAGE              = local.names.image
  }
}

output "tags" {
  description = "What everything is tagged with."
  value       = local.tags
}

output "people" {
  description = "The roles that people take up, by persona."
  value       = module.identity.people
}

output "caller" {
  description = "The role that applications take up to call the endpoint; null if none may."
  value       = module.serving.caller
}

output "events" {
  description = "The topic that others subscribe to: a model registered, deployed, a run's end, drift."
  value       = module.monitoring.events
}
