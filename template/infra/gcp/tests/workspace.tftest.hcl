# The services that the code calls are on, and stay on after a destroy.

mock_provider "google" {}

variables {
  project  = "example-prod"
  region   = "europe-west4"
  elevates = true
  audited  = true
}

run "services" {
  module {
    source = "./modules/workspace"
  }
  assert {
    condition     = length(setsubtract(["aiplatform", "artifactregistry", "iamcredentials", "logging", "monitoring", "storage", "sts", "privilegedaccessmanager"], keys(google_project_service.this))) == 0
    error_message = "A service that the code calls is off."
  }
  assert {
    condition     = alltrue([for one in google_project_service.this : !one.disable_on_destroy])
    error_message = "A destroy would take a service from others."
  }
  assert {
    condition     = keys(google_project_iam_audit_config.this) == ["aiplatform.googleapis.com", "storage.googleapis.com"]
    error_message = "Who read data is not logged."
  }
}

run "unlocked" {
  module {
    source = "./modules/workspace"
  }
  variables {
    elevates = false
    audited  = false
  }
  assert {
    condition     = length(google_project_iam_audit_config.this) == 0 && !contains(keys(google_project_service.this), "privilegedaccessmanager")
    error_message = "dev pays for logs that nobody asked for."
  }
}
