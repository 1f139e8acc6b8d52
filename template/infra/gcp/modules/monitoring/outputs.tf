output "channels" {
  description = "Who is told, as Google names them."
  value       = local.channels
}
