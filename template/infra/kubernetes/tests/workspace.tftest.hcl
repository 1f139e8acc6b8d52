mock_provider "kubernetes" {}

run "quota" {
  command = plan
  module { source = "./modules/workspace" }
  variables {
    namespace = "example-dev"
    labels    = {}
    sizes     = { cpu = 8, memory = 32, gpus = 0, pods = 50 }
  }
  assert {
    condition     = kubernetes_resource_quota_v1.this.spec[0].hard["limits.memory"] == "32Gi"
    error_message = "The quota is what sizes says."
  }
  assert {
    condition     = kubernetes_resource_quota_v1.this.spec[0].hard["services.loadbalancers"] == "1"
    error_message = "Callers come by one gateway."
  }
}
