# What the environment may ask for, and what a pod gets that asks for nothing. bootstrap/ made the namespace.
resource "kubernetes_resource_quota_v1" "this" {
  metadata {
    name      = "environment"
    namespace = var.namespace
    labels    = var.labels
  }
  spec {
    hard = {
      "requests.cpu"            = var.sizes.cpu
      "requests.memory"         = "${var.sizes.memory}Gi"
      "limits.cpu"              = var.sizes.cpu
      "limits.memory"           = "${var.sizes.memory}Gi"
      "requests.nvidia.com/gpu" = var.sizes.gpus
      pods                      = var.sizes.pods
      persistentvolumeclaims    = 0 # data lies in the store
      "services.loadbalancers"  = 1 # the gateway's, if its controller runs it here
    }
  }
}

resource "kubernetes_limit_range_v1" "this" {
  metadata {
    name      = "environment"
    namespace = var.namespace
    labels    = var.labels
  }
  spec {
    limit {
      type            = "Container"
      default         = { cpu = "500m", memory = "512Mi" }
      default_request = { cpu = "100m", memory = "128Mi" }
      max             = { cpu = var.sizes.cpu, memory = "${var.sizes.memory}Gi" }
    }
  }
}
