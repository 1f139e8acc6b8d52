# One environment as a whole: what its file names is what is made. Run for each of them:
#   terraform test -var-file=environments/<environment>.tfvars
# Nothing is there yet: each name that for_each goes by is known all the same.
mock_provider "google" {
  mock_data "google_project" {
    defaults = { billing_account = "000000-000000-000000" }
  }
}

variables {
  organization = "99"
  network      = { cidr = "10.20.0.0/24" }
  callers      = ["serviceAccount:shop@example.iam.gserviceaccount.com"]
  people = {
    data_scientist  = ["scientists@example.com"]
    ml_engineer     = ["engineers@example.com", "platform@example.com"]
    model_validator = ["validators@example.com"]
    operator        = ["platform@example.com"] # one group, two personas
    auditor         = ["auditors@example.com"]
  }
}

run "names" {
  command = plan
  assert {
    condition = output.cloud == {
      for key, value in yamldecode(file("../../environments/${var.environment}.yaml")).cloud : key => value
      if !contains(["machine", "instances"], key)
    }
    error_message = "Not what environments/${var.environment}.yaml names: ${jsonencode(output.cloud)}"
  }
  assert {
    condition     = output.endpoint.id == "${var.project}-${var.environment}"
    error_message = "The endpoint is not called as release/targets/gcp.py calls it."
  }
  assert {
    condition     = length(output.tags) == 6 && alltrue([for value in output.tags : can(regex("^[a-z0-9_-]{1,63}$", value))])
    error_message = "A label is missing, or Google would refuse it: ${jsonencode(output.tags)}"
  }
  assert {
    condition     = (output.masked == null) == (length(var.masked_for) == 0)
    error_message = "There is a masked copy that nobody may read, or none for those who may."
  }
  assert {
    condition     = output.variables.GCP_PROVIDER == output.cloud.provider && endswith(output.variables.GCP_SERVICE_ACCOUNT, "-${var.environment}-ci@${output.cloud.project}.iam.gserviceaccount.com")
    error_message = "Pipelines act as ${output.variables.GCP_SERVICE_ACCOUNT}."
  }
  assert {
    condition     = (output.packages == null) == (var.environment != "dev")
    error_message = "All environments' images and packages are not dev's alone."
  }
}

run "people_write_only_where_it_is_open" {
  command = plan
  assert {
    condition = anytrue([for member in concat(module.storage.writers, module.images.writers) : startswith(member, "group:")]) != (
      yamldecode(file("../../environments/${var.environment}.yaml")).protected
    )
    error_message = "${var.environment} is written by ${jsonencode(module.storage.writers)} and ${jsonencode(module.images.writers)}."
  }
  assert {
    condition     = contains(module.storage.writers, "serviceAccount:${output.variables.GCP_SERVICE_ACCOUNT}")
    error_message = "The pipeline cannot write."
  }
  assert {
    condition     = contains(module.images.writers, "serviceAccount:${output.variables.GCP_SERVICE_ACCOUNT}") == (var.environment == "dev")
    error_message = "Images are written by ${jsonencode(module.images.writers)}."
  }
}

# The accounts that dev's own run makes are those that get the copy.
run "the_masked_copy_is_read_by_dev" {
  command = plan
  variables {
    environment = "prod"
    masked_for  = ["dev"]
  }
  assert {
    condition = length(module.storage.masked_readers) == 2 && alltrue([
      for member in module.storage.masked_readers : (
        member == "serviceAccount:${yamldecode(file("../../environments/dev.yaml")).cloud.service_account}" ||
        endswith(member, "-dev-ci@${yamldecode(file("../../environments/dev.yaml")).cloud.project}.iam.gserviceaccount.com")
      )
    ])
    error_message = "The copy is read by ${jsonencode(module.storage.masked_readers)}."
  }
}

run "data_goes_down_only" {
  command = plan
  variables {
    environment = "dev"
    masked_for  = ["prod"]
  }
  expect_failures = [var.masked_for]
}

run "an_environment_that_is_none" {
  command = plan
  variables {
    environment = "qa"
    masked_for  = []
  }
  expect_failures = [var.environment]
}

run "everybody_may_not_ask" {
  command = plan
  variables {
    callers = ["allUsers"]
  }
  expect_failures = [var.callers]
}

run "nobody_is_told" {
  command = plan
  variables {
    budget = { amount = 100, currency = "EUR", emails = [] }
  }
  expect_failures = [var.budget]
}

run "an_unknown_persona" {
  command = plan
  variables {
    people = { admin = ["admins@example.com"] }
  }
  expect_failures = [var.people]
}
