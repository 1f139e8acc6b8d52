output "authentication" {
  description = "The trust, for the API server's --authentication-config: its keeper puts it there, one entry for an issuer."
  value       = module.trust.authentication
}
