# What src/mlops/cloud/gcp.py reads, under its own names: a test compares them.
output "cloud" {
  description = "Names, by their keys in environments/<environment>.yaml."
  value = {
    project         = local.names.project
    provider        = module.identity.provider
    service_account = module.identity.service_account
    region          = local.names.region
    bucket          = module.storage.bucket
    image           = module.images.image
    job_image       = local.names.job_image
  }
}

output "variables" {
  description = "The environment's variables on the CI platform."
  value = {
    GCP_PROVIDER        = module.identity.provider
    GCP_SERVICE_ACCOUNT = trimprefix(module.identity.pipeline, "serviceAccount:")
    IMAGE               = module.images.image
  }
}

output "tags" {
  description = "The labels of everything that can have them."
  value       = local.labels
}

output "endpoint" {
  description = "The endpoint that a release makes."
  value       = module.serving.endpoint
}

output "masked" {
  description = "The bucket of the masked copy; null: there is none."
  value       = module.storage.masked
}

output "packages" {
  description = "The index of the team's packages, for pip and uv; null: another environment has it."
  value       = module.images.packages
}
