# Environments whole: what its file in environments/ names is what each makes and gives out.
mock_provider "aws" { source = "./tests/mocks" }

variables {
  protect = false # a test destroys what it made
}

run "dev_makes_what_all_share" {
  variables { environment = "dev" }

  assert {
    condition = alltrue([
      for key, value in yamldecode(file("../../environments/dev.yaml")).cloud : output.cloud[key] == value if !contains(["machine", "instances"], key)
    ])
    error_message = "Names are not those of environments/dev.yaml."
  }
  assert {
    condition = (
      module.identity.issuer != null && module.images.feed == var.project && module.workspace.group != null &&
      endswith(yamldecode(file("../../environments/dev.yaml")).cloud.image, "/${module.images.repositories.image}")
    )
    error_message = "The first environment doesn't make what all share."
  }
}

run "prod_makes_its_own" {
  variables { environment = "prod" }

  assert {
    condition = alltrue([
      for key, value in yamldecode(file("../../environments/prod.yaml")).cloud : output.cloud[key] == value if !contains(["machine", "instances"], key)
    ])
    error_message = "Names are not those of environments/prod.yaml."
  }
  assert {
    condition     = module.images.repositories == {} && module.workspace.group == null
    error_message = "What all environments share is made a second time."
  }
  assert {
    condition = (module.identity.issuer == null && module.images.feed == null) == (
      yamldecode(file("../../environments/prod.yaml")).cloud.account == yamldecode(file("../../environments/dev.yaml")).cloud.account
    )
    error_message = "Of one account's environments the last makes again what the first has made."
  }
}

run "an_environment_that_is_not" {
  command = plan
  variables { environment = "qa" }
  expect_failures = [var.environment]
}

run "a_wildcard_for_a_repository" {
  command = plan
  variables {
    environment = "dev"
    repository  = { path = "team/*" }
  }
  expect_failures = [var.repository]
}

run "a_wildcard_for_a_subject" {
  command = plan
  variables {
    environment = "dev"
    repository  = { path = "team/example", subjects = { dev = "repo:team/*" } }
  }
  expect_failures = [var.repository]
}

run "no_budget" {
  command = plan
  variables {
    environment = "dev"
    budget      = { amount = 0, emails = [] }
  }
  expect_failures = [var.budget]
}
