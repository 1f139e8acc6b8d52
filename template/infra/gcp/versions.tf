terraform {
  required_version = ">= 1.11, < 2.0"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.45, < 9.0"
    }
  }
}

# Whoever is logged in: a CI job by workload identity, a person by gcloud. There is no key.
provider "google" {
  project               = local.names.project
  region                = local.names.region
  default_labels        = local.labels
  user_project_override = true # Google's API of budgets asks for it when a person applies
  billing_project       = local.names.project
}
