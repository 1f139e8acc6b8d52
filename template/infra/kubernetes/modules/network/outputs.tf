output "policies" {
  description = "What stands, beside the policies of deploy/base."
  value = [for one in [
    kubernetes_network_policy_v1.default_deny,
    kubernetes_network_policy_v1.server,
    kubernetes_network_policy_v1.gateway,
  ] : one.metadata[0].name]
}
