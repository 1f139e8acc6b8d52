# What the deploy code looks for, by environments/<environment>.yaml, is what is made. For each environment:
# terraform test -var-file=environments/<environment>.tfvars
mock_provider "azurerm" {
  source          = "./tests/mocks"
  override_during = plan
}

run "names" {
  command = plan

  assert {
    condition = alltrue([
      for name, value in output.cloud : value == yamldecode(file("../../environments/${var.environment}.yaml")).cloud[name]
      if !contains(["compute", "endpoint"], name)
    ])
    error_message = "outputs differ from environments/${var.environment}.yaml: ${jsonencode(output.cloud)}"
  }
  assert {
    condition     = output.cloud.endpoint == "${var.project}-${var.environment}"
    error_message = "AzureTarget calls the endpoint <project>-<environment> where the file has none: ${output.cloud.endpoint}"
  }
  assert {
    condition     = length(module.images) == (var.environment == "dev" ? 1 : 0)
    error_message = "the registry is dev's, and nobody else's"
  }
  assert {
    condition     = length(module.network) == 0
    error_message = "a network that nobody asked for"
  }
}

run "a_persona_that_is_none" {
  command = plan
  variables {
    people = { data_scientists = [] }
  }
  expect_failures = [var.people]
}

run "a_budget_of_nothing" {
  command = plan
  variables {
    budget = { amount = 0, emails = ["team@example.com"] }
  }
  expect_failures = [var.budget]
}

run "an_eligibility_that_entra_does_not_know" {
  command = plan
  variables {
    elevation = { hours = 4, days = 42 }
  }
  expect_failures = [var.elevation]
}

run "a_repository_with_one_number" {
  command = plan
  variables {
    repository = { path = "owner/example", id = "2" }
  }
  expect_failures = [var.repository]
}

run "private" {
  command = plan
  variables {
    network = { private = true }
  }
  assert {
    condition     = length(module.network) == 1
    error_message = "private, without a network"
  }
}
