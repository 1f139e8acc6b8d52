mock_provider "helm" {}
mock_provider "kubernetes" {}

variables {
  environment = "prod"
  project     = "example"
  repository  = { path = "owner/example", owner_id = "1", id = "2" }
  ci          = "github"
  owner       = "team"
  cost_centre = "none"
  data_class  = "internal"
  compliance  = "none"
  network     = { gateway_class = "example" }
}

run "own_namespaces" {
  command = plan
  assert {
    condition     = toset([for role in kubernetes_role_v1.pipeline : role.metadata[0].namespace]) == toset([local.cloud.namespace, local.state])
    error_message = "The pipeline's rights end with its environment's namespaces."
  }
  assert {
    condition     = length(helm_release.argo_cd) + length(helm_release.monitoring) == 0
    error_message = "A cluster's tools are installed where somebody says so."
  }
}

run "plans_read" {
  command = plan
  assert {
    condition = alltrue([for role in kubernetes_role_v1.pipeline : alltrue([
      for rule in role.rule : length(setsubtract(rule.verbs, local.read)) == 0
    ]) if role.metadata[0].name == "infra-plan"])
    error_message = "Who plans changes nothing."
  }
  assert {
    condition = { for binding in kubernetes_role_binding_v1.pipeline : binding.metadata[0].name => [for one in binding.subject : one.name]... } == {
      infra-apply = [["github:repo:owner@1/example@2:environment:prod"], ["github:repo:owner@1/example@2:environment:prod"]]
      infra-plan = [for namespace in ["environment", "state"] : [
        "github:repo:owner@1/example@2:environment:prod", "github:repo:owner@1/example@2:environment:dev"
      ]]
    }
    error_message = "A pull request's jobs are dev's: they plan, and do not apply."
  }
}

run "tools" {
  command = plan
  variables {
    install = { monitoring = true, argo_cd = true }
  }
  assert {
    condition     = alltrue([for one in concat(helm_release.argo_cd, helm_release.monitoring) : one.version != null])
    error_message = "A chart has a version."
  }
}
