output "parent" {
  description = "What all of Vertex AI's names begin with."
  value       = "projects/${var.project}/locations/${var.region}"
}
