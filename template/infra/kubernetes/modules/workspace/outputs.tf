output "namespace" {
  description = "cloud.namespace, with its quota."
  value       = kubernetes_resource_quota_v1.this.metadata[0].namespace
}
