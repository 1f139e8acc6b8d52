# Trust ends at this repository and this environment, to the letter.
run "github" {
  module {
    source = "./modules/identity/trust"
  }
  variables {
    ci           = "github"
    environments = ["prod"]
    repository   = { path = "acme/delays", owner_id = "12", id = "34", host = "gitlab.com", branches = ["main"] }
  }
  assert {
    condition     = output.subjects == { prod = "repo:acme@12/delays@34:environment:prod" }
    error_message = "not GitHub's immutable subject: ${jsonencode(output.subjects)}"
  }
  assert {
    condition     = output.issuer == "https://token.actions.githubusercontent.com"
    error_message = output.issuer
  }
}

run "github_before_the_numbers" {
  module {
    source = "./modules/identity/trust"
  }
  variables {
    ci           = "github"
    environments = ["prod"]
    repository   = { path = "acme/delays", owner_id = "", id = "", host = "gitlab.com", branches = ["main"] }
  }
  assert {
    condition     = output.subjects == { prod = "repo:acme/delays:environment:prod" }
    error_message = jsonencode(output.subjects)
  }
}

run "gitlab" {
  module {
    source = "./modules/identity/trust"
  }
  variables {
    ci           = "gitlab"
    environments = ["prod"]
    repository   = { path = "acme/ml/delays", owner_id = "", id = "", host = "git.acme.example", branches = ["main"] }
  }
  assert {
    condition     = output.subjects == { main = "project_path:acme/ml/delays:ref_type:branch:ref:main" }
    error_message = jsonencode(output.subjects)
  }
  assert {
    condition     = output.issuer == "https://git.acme.example"
    error_message = output.issuer
  }
}

run "azure_devops" {
  module {
    source = "./modules/identity/trust"
  }
  variables {
    ci           = "azure-devops"
    environments = ["prod"]
    repository   = { path = "acme/delays", owner_id = "", id = "", host = "gitlab.com", branches = ["main"] }
  }
  assert {
    condition     = length(output.subjects) == 0
    error_message = "its subject is the connection's to say"
  }
}
