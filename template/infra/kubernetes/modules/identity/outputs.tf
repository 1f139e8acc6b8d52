output "user" {
  description = "Who the pipeline is for the API server."
  value       = module.trust.users[var.environment]
}
