output "dashboard" {
  description = "The dashboard's ConfigMap."
  value       = kubernetes_config_map_v1.dashboard.metadata[0].name
}

output "alerts" {
  description = "The alerts, by name."
  value       = keys(local.alerts)
}
