output "provider" {
  description = "Who vouches for jobs."
  value       = "projects/${local.number}/locations/global/workloadIdentityPools/${google_iam_workload_identity_pool_provider.this.workload_identity_pool_id}/providers/${google_iam_workload_identity_pool_provider.this.workload_identity_pool_provider_id}"
}

output "pipeline" {
  description = "The pipelines, as an IAM member."
  value       = local.members.ci
}

output "runtime" {
  description = "Servers and jobs, as an IAM member."
  value       = local.members.run
}

output "service_account" {
  description = "Who servers and jobs run as."
  value       = "${google_service_account.this["run"].account_id}@${local.domain}"
}
