output "image" {
  description = "The repository of the servers' images."
  value       = var.image
}

output "packages" {
  description = "The index of the team's packages; null: another project has it."
  value       = one([for key, made in google_artifact_registry_repository.this : "https://${made.location}-python.pkg.dev/${var.project}/${made.repository_id}/simple/" if key == "PYTHON"])
}

output "writers" {
  description = "Who pushes."
  value       = distinct(sort([for one in google_artifact_registry_repository_iam_member.this : one.member if one.role == "roles/artifactregistry.writer"]))
}
