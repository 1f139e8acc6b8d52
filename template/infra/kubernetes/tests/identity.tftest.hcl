mock_provider "kubernetes" {}

variables {
  namespace   = "example-prod"
  labels      = {}
  name        = "example-prod"
  environment = "prod"
  protected   = true
  people      = { ml_engineer = ["engineers"], auditor = [] }
  ci          = "github"
  repository  = { path = "owner/example", owner_id = "1", id = "2", issuer = "", subjects = {} }
}

run "protected" {
  command = plan
  module { source = "./modules/identity" }
  assert {
    condition = alltrue([for name, role in kubernetes_role_v1.this : alltrue([
      for rule in role.rule : length(setsubtract(rule.verbs, ["get", "list", "watch"])) == 0
    ]) if name != "pipeline"])
    error_message = "Only the pipeline changes what is protected."
  }
  assert {
    condition     = [for one in kubernetes_role_binding_v1.this["pipeline"].subject : one.name] == ["github:repo:owner@1/example@2:environment:prod"]
    error_message = "The pipeline is this repository in this environment."
  }
  assert {
    condition     = join(" ", sort(keys(kubernetes_role_binding_v1.this))) == "ml-engineer pipeline"
    error_message = "A persona without groups is bound to nobody."
  }
}

run "open" {
  command = plan
  module { source = "./modules/identity" }
  variables {
    protected = false
  }
  assert {
    condition     = contains(flatten([for rule in kubernetes_role_v1.this["ml-engineer"].rule : rule.verbs]), "patch")
    error_message = "ML engineers release where nothing is protected."
  }
}

run "gitlab" {
  command = plan
  module { source = "./modules/identity/trust" }
  variables {
    ci           = "gitlab"
    environments = ["prod"]
  }
  assert {
    condition     = output.users.prod == "gitlab:project:2:environment:prod"
    error_message = "A project is its id: names are reused."
  }
  assert {
    condition     = strcontains(output.authentication, "claims.project_id == '2'") && strcontains(output.authentication, "ref_protected")
    error_message = "Tokens of other projects, and of branches that are not protected, are refused."
  }
}

run "old_repository" {
  command = plan
  module { source = "./modules/identity/trust" }
  variables {
    environments = ["dev", "prod"]
    repository   = { path = "owner/example", owner_id = "", id = "", issuer = "", subjects = {} }
  }
  assert {
    condition     = output.users == { dev = "github:repo:owner/example:environment:dev", prod = "github:repo:owner/example:environment:prod" }
    error_message = "Repositories from before July 2026 have no ids in their subjects."
  }
}

run "azure_devops" {
  command = plan
  module { source = "./modules/identity/trust" }
  variables {
    ci           = "azure-devops"
    environments = ["prod"]
    repository   = { path = "owner/example", owner_id = "", id = "", issuer = "https://issuer.example.com", subjects = { dev = "x/sc/1", prod = "x/sc/2" } }
  }
  assert {
    condition     = output.users == { prod = "azure-devops:x/sc/2" } && strcontains(output.authentication, "claims.sub in ['x/sc/1', 'x/sc/2']")
    error_message = "A service connection is its subject."
  }
}

run "azure_devops_without_a_subject" {
  command = plan
  module { source = "./modules/identity/trust" }
  variables {
    ci           = "azure-devops"
    environments = ["prod"]
    repository   = { path = "owner/example", owner_id = "", id = "", issuer = "https://issuer.example.com", subjects = { dev = "x/sc/1" } }
  }
  expect_failures = [var.repository]
}
