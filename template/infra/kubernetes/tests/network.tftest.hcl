mock_provider "kubernetes" {}

run "shut" {
  command = plan
  module { source = "./modules/network" }
  variables {
    namespace  = "example-dev"
    labels     = {}
    gateway    = "example"
    monitoring = "monitoring"
  }
  assert {
    condition = alltrue([
      toset(kubernetes_network_policy_v1.default_deny.spec[0].policy_types) == toset(["Ingress", "Egress"]),
      length(kubernetes_network_policy_v1.default_deny.spec[0].ingress) == 0,
      length(kubernetes_network_policy_v1.default_deny.spec[0].egress) == 0,
    ])
    error_message = "What no policy names is denied."
  }
  assert {
    condition     = alltrue([for rule in kubernetes_network_policy_v1.server.spec[0].ingress : length(rule.from) == 2 && rule.ports[0].port == "http"])
    error_message = "Servers are asked by the gateway and Prometheus, at one port."
  }
}
