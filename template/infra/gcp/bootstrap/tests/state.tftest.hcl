# The state is versioned, never public and the environment's own; pipelines' accounts have no basic role.
mock_provider "google" {
  mock_data "google_project" {
    defaults = { billing_account = "000000-000000-000000" }
  }
}

variables {
  environment = "prod"
}

run "state" {
  command = plan
  assert {
    condition     = output.bucket == "${yamldecode(file("../../../environments/prod.yaml")).cloud.bucket}-state"
    error_message = "State would lie in ${output.bucket}."
  }
  assert {
    condition = (
      google_storage_bucket.state.versioning[0].enabled && google_storage_bucket.state.uniform_bucket_level_access &&
      google_storage_bucket.state.public_access_prevention == "enforced" && !google_storage_bucket.state.force_destroy
    )
    error_message = "The state could be lost, or seen."
  }
  assert {
    condition     = alltrue([for one in google_project_iam_member.apply : !contains(["roles/owner", "roles/editor", "roles/viewer"], one.role)])
    error_message = "The account that applies has a basic role."
  }
  assert {
    condition     = alltrue([for one in google_project_iam_custom_role.plan.permissions : can(regex("\\.(get|list|use|getIamPolicy)$", one)) && !strcontains(one, "objects")])
    error_message = "A plan changes something, or sees data."
  }
  assert {
    condition     = alltrue([for name in ["plan", "apply"] : endswith(output.accounts[name], "-prod-${name}@${yamldecode(file("../../../environments/prod.yaml")).cloud.project}.iam.gserviceaccount.com")])
    error_message = "Pipelines would act as others than ${jsonencode(output.accounts)}."
  }
}

run "a_clean_destroy" {
  command = plan
  variables {
    protect = false
  }
  assert {
    condition     = google_storage_bucket.state.force_destroy
    error_message = "The bucket would be left."
  }
}
