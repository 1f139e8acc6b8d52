# Only this repository's jobs in this environment are trusted, and people read where only pipelines write.

mock_provider "google" {
  mock_resource "google_iam_workload_identity_pool" {
    defaults = { name = "projects/1/locations/global/workloadIdentityPools/flights-prod" }
  }
}

variables {
  project         = "example-prod"
  environment     = "prod"
  prefix          = "flights-prod"
  provider_name   = "projects/1/locations/global/workloadIdentityPools/flights-prod/providers/pipelines"
  trusted         = { prod = true, dev = false }
  audiences       = ["https://iam.googleapis.com/prod", "https://iam.googleapis.com/dev"]
  ci              = "github"
  repository      = { path = "example/flights", id = "22", owner_id = "11", issuer = "", subjects = {} }
  service_account = "models@example-prod.iam.gserviceaccount.com"
  bucket          = "flights-prod"
  guests          = []
  locked          = true
  organization    = "99"
  people = {
    data_scientist  = ["group:s@x.org"]
    ml_engineer     = ["group:e@x.org"]
    model_validator = ["group:v@x.org"]
    operator        = ["group:o@x.org"]
    auditor         = ["group:a@x.org"]
  }
}

run "github" {
  module {
    source = "./modules/identity"
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.this.attribute_condition == "assertion.repository_owner_id == '11' && assertion.repository_id == '22' && assertion.environment in ['dev', 'prod']"
    error_message = "Others are trusted: ${google_iam_workload_identity_pool_provider.this.attribute_condition}"
  }
  assert {
    condition = { for one in google_service_account_iam_member.trust : split("@", split("/", one.service_account_id)[3])[0] => split("/subject/", one.member)[1]... } == {
      flights-prod-ci = ["22:prod"], flights-prod-apply = ["22:prod"], flights-prod-plan = ["22:dev", "22:prod"]
    }
    error_message = "dev's jobs may do more than plan, or prod's less."
  }
  assert {
    condition = alltrue([
      for one in google_service_account_iam_member.trust :
      startswith(one.member, "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/flights-prod/subject/")
    ])
    error_message = "Another pool's jobs are trusted."
  }
  assert {
    condition = (
      google_iam_workload_identity_pool_provider.this.oidc[0].issuer_uri == "https://token.actions.githubusercontent.com" &&
      length(google_iam_workload_identity_pool_provider.this.oidc[0].allowed_audiences) == 2
    )
    error_message = "Tokens are another issuer's, or for others."
  }
}

run "gitlab_asks_for_a_protected_branch" {
  module {
    source = "./modules/identity"
  }
  variables {
    ci         = "gitlab"
    repository = { path = "example/flights", id = "22", owner_id = "", issuer = "https://gitlab.example.com", subjects = {} }
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.this.attribute_condition == "assertion.project_id == '22' && (assertion.environment == 'dev' || assertion.environment == 'prod' && assertion.ref_protected == 'true')"
    error_message = "Others are trusted: ${google_iam_workload_identity_pool_provider.this.attribute_condition}"
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.this.oidc[0].issuer_uri == "https://gitlab.example.com"
    error_message = "Tokens are another issuer's."
  }
}

run "azure_devops" {
  module {
    source = "./modules/identity"
  }
  variables {
    ci = "azure-devops"
    repository = {
      path     = "example/flights", id = "", owner_id = "", issuer = "https://login.microsoftonline.com/t/v2.0",
      subjects = { dev = "/eid1/c/pub/t/a/a/b/sc/org/1", staging = "/eid1/c/pub/t/a/a/b/sc/org/2", prod = "/eid1/c/pub/t/a/a/b/sc/org/3" }
    }
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.this.attribute_condition == "assertion.sub in ['/eid1/c/pub/t/a/a/b/sc/org/1', '/eid1/c/pub/t/a/a/b/sc/org/3']"
    error_message = "Others are trusted: ${google_iam_workload_identity_pool_provider.this.attribute_condition}"
  }
  assert {
    condition     = endswith(google_service_account_iam_member.trust["apply prod"].member, "/subject/org/3")
    error_message = "The account that applies is open to ${google_service_account_iam_member.trust["apply prod"].member}."
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.this.oidc[0].allowed_audiences == tolist(["api://AzureADTokenExchange"])
    error_message = "Azure DevOps has no tokens for others."
  }
}

run "a_name_is_no_number" {
  command = plan
  module {
    source = "./modules/identity"
  }
  variables {
    repository = { path = "example/flights", id = "' || true || '", owner_id = "11", issuer = "", subjects = {} }
  }
  expect_failures = [google_iam_workload_identity_pool_provider.this]
}

run "a_connection_has_a_subject" {
  command = plan
  module {
    source = "./modules/identity"
  }
  variables {
    ci = "azure-devops"
  }
  expect_failures = [google_iam_workload_identity_pool_provider.this]
}

run "somebody_else_s_account" {
  command = plan
  module {
    source = "./modules/identity"
  }
  variables {
    service_account = "models@example-dev.iam.gserviceaccount.com"
  }
  expect_failures = [google_service_account.this]
}

run "another_project_s_number" {
  command = plan
  module {
    source = "./modules/identity"
  }
  variables {
    provider_name = "projects/000000000000/locations/global/workloadIdentityPools/flights-prod/providers/pipelines"
  }
  expect_failures = [google_iam_workload_identity_pool.this]
}

run "people_read_where_pipelines_write" {
  module {
    source = "./modules/identity"
  }
  assert {
    condition = alltrue(flatten([
      for persona in ["data_scientist", "ml_engineer", "model_validator", "operator", "auditor"] : [
        for permission in google_project_iam_custom_role.this[persona].permissions :
        contains(["get", "list", "predict", "use", "getIamPolicy"], reverse(split(".", permission))[0])
      ]
    ]))
    error_message = "A persona may write in prod."
  }
  assert {
    condition     = [for one in google_project_iam_member.this : one.member if startswith(one.member, "group:")] == [for one in ["a", "s", "e", "v", "o"] : "group:${one}@x.org"]
    error_message = "A persona has no role, or more than one."
  }
  assert {
    condition     = contains(google_project_iam_custom_role.this["pipeline"].permissions, "aiplatform.endpoints.deploy")
    error_message = "The pipeline cannot deploy."
  }
}

run "people_work_in_dev" {
  module {
    source = "./modules/identity"
  }
  variables {
    locked = false
  }
  assert {
    condition = (
      contains(google_project_iam_custom_role.this["data_scientist"].permissions, "aiplatform.customJobs.create") &&
      !contains(google_project_iam_custom_role.this["data_scientist"].permissions, "aiplatform.endpoints.deploy") &&
      contains(google_project_iam_custom_role.this["ml_engineer"].permissions, "aiplatform.endpoints.deploy")
    )
    error_message = "In dev a data scientist trains and an ML engineer deploys, too."
  }
  assert {
    condition     = length(google_privileged_access_manager_entitlement.release) == 0
    error_message = "There is nothing to ask for in dev."
  }
}

run "rights_end" {
  module {
    source = "./modules/identity"
  }
  assert {
    condition = (
      google_privileged_access_manager_entitlement.release[0].max_request_duration == "14400s" &&
      google_privileged_access_manager_entitlement.release[0].approval_workflow[0].manual_approvals[0].steps[0].approvals_needed == 1
    )
    error_message = "Rights last for more than four hours, or nobody agrees to them."
  }
  assert {
    condition     = google_privileged_access_manager_entitlement.release[0].privileged_access[0].gcp_iam_access[0].role_bindings[1].condition_expression == "resource.name.startsWith('projects/_/buckets/flights-prod/objects/deployments/')"
    error_message = "More than the journal can be written."
  }
}
