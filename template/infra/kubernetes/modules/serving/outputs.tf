output "gateway" {
  description = "cloud.gateway."
  value       = var.gateway
}

output "host" {
  description = "cloud.host."
  value       = var.host
}
