mock_provider "helm" {}

variables {
  namespace = "example-prod"
  labels    = {}
  gateway   = "example"
  owned     = true
  host      = "example.prod.example.com"
  class     = "example"
  issuer    = ""
  chart     = "./charts/objects"
}

run "own_gateway" {
  command = plan
  module { source = "./modules/serving" }
  assert {
    condition = [for one in yamldecode(helm_release.gateway[0].values[0]).objects[0].spec.listeners : [one.protocol, one.hostname]] == [
      ["HTTPS", "example.prod.example.com"]
    ]
    error_message = "Callers come by TLS, for cloud.host."
  }
}

run "gateway_of_others" {
  command = plan
  module { source = "./modules/serving" }
  variables {
    owned = false
  }
  assert {
    condition     = length(helm_release.gateway) == 0
    error_message = "A gateway in another namespace is not ours to make."
  }
}
