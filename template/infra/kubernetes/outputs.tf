# The names that src/mlops/cloud/kubernetes.py reads from environments/, as they came out.
output "cloud" {
  description = "The names of environments/*.yaml."
  value = {
    namespace    = module.workspace.namespace
    gateway      = module.serving.gateway
    host         = module.serving.host
    bucket       = module.storage.bucket
    endpoint_url = module.storage.endpoint_url
    image        = module.images.image
    job_image    = module.images.job_image
  }
}

output "variables" {
  description = "The CI platform's variables of this environment."
  value       = { IMAGE = module.images.image }
}

output "identity" {
  description = "Who the pipeline is for the API server."
  value       = module.identity.user
}

output "budget" {
  description = "What a month costs if all of the quota is used."
  value       = module.budget.ceiling
}
