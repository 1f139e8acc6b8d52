# Nothing reaches a pod, and no pod reaches anything, but what a policy names. Those of servers and jobs
# are in deploy/base/network.yaml; here is what the environment around them needs. Policies add up.
resource "kubernetes_network_policy_v1" "default_deny" {
  metadata {
    name      = "environment-default-deny"
    namespace = var.namespace
    labels    = var.labels
  }
  spec {
    pod_selector {}
    policy_types = ["Ingress", "Egress"]
  }
}

# Prometheus asks servers for /metrics; a gateway whose pods run in its own namespace, for answers.
resource "kubernetes_network_policy_v1" "server" {
  metadata {
    name      = "environment-server"
    namespace = var.namespace
    labels    = var.labels
  }
  spec {
    pod_selector {
      match_labels = { "app.kubernetes.io/component" = "server" }
    }
    policy_types = ["Ingress"]
    ingress {
      ports {
        port = "http"
      }
      from {
        namespace_selector {
          match_labels = { "kubernetes.io/metadata.name" = var.monitoring }
        }
      }
      from {
        pod_selector {
          match_labels = local.gateway
        }
      }
    }
  }
}

# Callers reach such a gateway from anywhere; it reaches the servers, its controller and names.
resource "kubernetes_network_policy_v1" "gateway" {
  metadata {
    name      = "environment-gateway"
    namespace = var.namespace
    labels    = var.labels
  }
  spec {
    pod_selector {
      match_labels = local.gateway
    }
    policy_types = ["Ingress", "Egress"]
    ingress {}
    egress {}
  }
}

locals {
  gateway = { "gateway.networking.k8s.io/gateway-name" = var.gateway } # GEP-1762: controllers set it
}
