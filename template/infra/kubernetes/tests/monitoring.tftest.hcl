mock_provider "helm" {}
mock_provider "kubernetes" {}

run "alerts" {
  command = plan
  module { source = "./modules/monitoring" }
  variables {
    namespace = "example-prod"
    labels    = {}
    name      = "example-prod"
    emails    = ["team@example.com"]
    rules     = [{ alert = "Budget50" }]
    chart     = "./charts/objects"
  }
  assert {
    condition = length(setsubtract(
      ["Budget50", "Errors", "Latency", "NoTraffic", "JobFailed", "Drift", "Quota"],
      [for rule in yamldecode(helm_release.monitoring.values[0]).objects[1].spec.groups[0].rules : rule.alert]
    )) == 0
    error_message = "Something that matters alarms nobody."
  }
  assert {
    condition     = alltrue([for panel in jsondecode(one(values(kubernetes_config_map_v1.dashboard.data))).panels : strcontains(panel.targets[0].expr, "example-prod")])
    error_message = "A panel shows other namespaces."
  }
}
