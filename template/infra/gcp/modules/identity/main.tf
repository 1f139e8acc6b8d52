# Who is trusted, who they act as, and what each may do: the table of docs/infra.md is this one.
locals {
  # The claims that name this repository and an environment, and a subject within Google's 127 bytes.
  # Numbers, not names: a name can be taken over, and GitHub's `sub` has two formats.
  id    = var.repository.id
  names = join(", ", [for name in keys(var.trusted) : "'${name}'"])
  trust = {
    github = {
      issuer    = "https://token.actions.githubusercontent.com"
      condition = "assertion.repository_owner_id == '${var.repository.owner_id}' && assertion.repository_id == '${local.id}' && assertion.environment in [${local.names}]"
      mapping   = "assertion.repository_id + ':' + assertion.environment"
      subjects  = { for name in keys(var.trusted) : name => "${local.id}:${name}" }
    }
    # Anybody who may push can write an environment's name into a job; a protected branch is the review.
    gitlab = {
      issuer = "https://gitlab.com"
      condition = "assertion.project_id == '${local.id}' && (${join(" || ", [
        for name, protected in var.trusted : "assertion.environment == '${name}'${protected ? " && assertion.ref_protected == 'true'" : ""}"
      ])})"
      mapping  = "assertion.project_id + ':' + assertion.environment"
      subjects = { for name in keys(var.trusted) : name => "${local.id}:${name}" }
    }
    # A service connection is one environment's own; its subject is longer than Google takes.
    azure-devops = {
      issuer    = ""
      condition = "assertion.sub in [${join(", ", [for name in keys(var.trusted) : "'${lookup(var.repository.subjects, name, "")}'"])}]"
      mapping   = "assertion.sub.extract('/sc/{connection}')"
      subjects  = { for name in keys(var.trusted) : name => try(split("/sc/", var.repository.subjects[name])[1], "") }
    }
  }[var.ci]

  # As whom the jobs of which environment may act. `plan` and `apply` are bootstrap's, and Terraform's.
  acts = merge([for account, environments in { ci = [var.environment], apply = [var.environment], plan = keys(var.trusted) } : {
    for name in environments : "${account} ${name}" => { account = account, subject = local.trust.subjects[name] }
  }]...)

  see = [
    "aiplatform.customJobs.get",
    "aiplatform.customJobs.list",
    "aiplatform.endpoints.get",
    "aiplatform.endpoints.list",
    "aiplatform.models.get",
    "aiplatform.models.list",
    "aiplatform.operations.list",
    "logging.logEntries.list",
    "logging.logs.list",
    "monitoring.alertPolicies.get",
    "monitoring.alertPolicies.list",
    "monitoring.dashboards.get",
    "monitoring.dashboards.list",
    "monitoring.timeSeries.list",
    "resourcemanager.projects.get",
    "serviceusage.services.use",
    "storage.buckets.get",
  ]
  ask = ["aiplatform.endpoints.predict"]
  train = [
    "aiplatform.customJobs.cancel",
    "aiplatform.customJobs.create",
    "aiplatform.models.delete",
    "aiplatform.models.update",
    "aiplatform.models.upload",
  ]
  release = [
    "aiplatform.endpoints.create",
    "aiplatform.endpoints.delete",
    "aiplatform.endpoints.deploy",
    "aiplatform.endpoints.undeploy",
    "aiplatform.endpoints.update",
  ]
  audit = [
    "iam.roles.get",
    "iam.roles.list",
    "iam.serviceAccounts.getIamPolicy",
    "iam.serviceAccounts.list",
    "iam.workloadIdentityPoolProviders.get",
    "iam.workloadIdentityPoolProviders.list",
    "iam.workloadIdentityPools.list",
    "logging.privateLogEntries.list",
    "resourcemanager.projects.getIamPolicy",
    "storage.buckets.getIamPolicy",
    "storage.buckets.list",
  ]

  # A locked environment is read by people and written by its pipeline.
  roles = {
    data_scientist  = concat(local.see, var.locked ? [] : concat(local.ask, local.train))
    ml_engineer     = concat(local.see, var.locked ? [] : concat(local.ask, local.train, local.release))
    model_validator = concat(local.see, local.ask)
    operator        = concat(local.see, local.ask)
    auditor         = concat(local.see, local.audit)
    pipeline        = concat(local.see, local.ask, local.train, local.release)
    runtime         = ["aiplatform.models.get", "aiplatform.models.list", "logging.logEntries.create"]
    guest           = ["aiplatform.models.get", "aiplatform.models.list", "aiplatform.models.update"] # its aliases
  }
  holders = flatten([
    for role, members in merge(var.people, { pipeline = [local.members.ci], runtime = [local.members.run], guest = var.guests }) : [
      for member in members : { role = role, member = member }
    ]
  ])

  # Who may start machines that run as the runtime account. In a locked environment nobody but the
  # pipeline has the right to start one; this one cannot be had for a time, as it is the account's.
  starters = concat([local.members.ci], var.locked ? local.elevated : concat(var.people.data_scientist, var.people.ml_engineer))
  elevated = local.elevates ? distinct(concat(var.people.operator, var.people.ml_engineer)) : []
  elevates = var.organization != "" && var.locked && length(var.people.operator) > 0

  # Known before they are made: a plan shows them.
  number  = split("/", var.provider_name)[1]
  domain  = "${var.project}.iam.gserviceaccount.com"
  members = { ci = "serviceAccount:${var.prefix}-ci@${local.domain}", run = "serviceAccount:${var.service_account}" }
}

resource "google_iam_workload_identity_pool" "this" {
  workload_identity_pool_id = var.prefix
  display_name              = var.prefix
  description               = "Jobs of ${var.repository.path} in ${var.environment}."

  lifecycle {
    postcondition {
      condition     = self.name == split("/providers/", var.provider_name)[0]
      error_message = "environments/${var.environment}.yaml: cloud.provider begins with ${self.name}."
    }
  }
}

resource "google_iam_workload_identity_pool_provider" "this" {
  workload_identity_pool_id          = google_iam_workload_identity_pool.this.workload_identity_pool_id
  workload_identity_pool_provider_id = split("/", var.provider_name)[7]
  attribute_mapping                  = { "google.subject" = local.trust.mapping }
  attribute_condition                = local.trust.condition

  oidc {
    issuer_uri        = coalesce(var.repository.issuer, local.trust.issuer, "issuer missing")
    allowed_audiences = var.ci == "azure-devops" ? ["api://AzureADTokenExchange"] : var.audiences
  }

  lifecycle {
    precondition {
      condition     = var.ci != "github" || can(regex("^[0-9]+ [0-9]+$", "${var.repository.owner_id} ${local.id}"))
      error_message = "repository.id and owner_id are GitHub's numbers: `gh api repos/${var.repository.path} --jq '.id, .owner.id'`."
    }
    precondition {
      condition     = var.ci != "gitlab" || can(regex("^[0-9]+$", local.id))
      error_message = "repository.id is GitLab's number of the project: it stands on the project's page."
    }
    precondition {
      condition = var.ci != "azure-devops" || startswith(var.repository.issuer, "https://") && alltrue([
        for name in keys(var.trusted) : can(regex("^[^']*/sc/[^']+$", var.repository.subjects[name]))
      ])
      error_message = "repository.issuer and repository.subjects of ${join(", ", keys(var.trusted))} are those that the service connections show."
    }
  }
}

resource "google_service_account" "this" {
  for_each = { ci = "${var.prefix}-ci", run = split("@", var.service_account)[0] }

  account_id   = each.value
  display_name = "${each.key == "ci" ? "Pipelines" : "Servers and jobs"} of ${var.repository.path} in ${var.environment}"

  lifecycle {
    precondition {
      condition     = split("@", var.service_account)[1] == local.domain
      error_message = "environments/${var.environment}.yaml: cloud.service_account is ${var.service_account}: it ends with @${local.domain}."
    }
  }
}

resource "google_service_account_iam_member" "trust" {
  for_each = local.acts

  service_account_id = "projects/${var.project}/serviceAccounts/${var.prefix}-${each.value.account}@${local.domain}"
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${split("/providers/", var.provider_name)[0]}/subject/${each.value.subject}"

  depends_on = [google_iam_workload_identity_pool_provider.this, google_service_account.this]
}

resource "google_service_account_iam_member" "start" {
  for_each = toset(local.starters)

  service_account_id = google_service_account.this["run"].name
  role               = "roles/iam.serviceAccountUser"
  member             = each.value
}

resource "google_project_iam_custom_role" "this" {
  for_each = local.roles

  role_id     = replace("${var.prefix}-${each.key}", "-", "_")
  title       = "${var.prefix} ${replace(each.key, "_", " ")}"
  permissions = each.value
}

resource "google_project_iam_member" "this" {
  for_each = { for one in toset(local.holders) : "${one.role} ${one.member}" => one }

  project = var.project
  role    = google_project_iam_custom_role.this[each.value.role].name
  member  = each.value.member

  depends_on = [google_service_account.this]
}

# Rights for a time: an operator asks for the pipeline's with a reason, another one agrees, and they end.
resource "google_privileged_access_manager_entitlement" "release" {
  count = local.elevates ? 1 : 0

  entitlement_id       = "${var.prefix}-release"
  location             = "global"
  parent               = "projects/${var.project}"
  max_request_duration = "${4 * 60 * 60}s"

  eligible_users {
    principals = local.elevated
  }
  privileged_access {
    gcp_iam_access {
      resource      = "//cloudresourcemanager.googleapis.com/projects/${var.project}"
      resource_type = "cloudresourcemanager.googleapis.com/Project"
      role_bindings {
        role = google_project_iam_custom_role.this["pipeline"].name
      }
      role_bindings {
        role                 = "roles/storage.objectUser"
        condition_expression = "resource.name.startsWith('projects/_/buckets/${var.bucket}/objects/deployments/')"
      }
    }
  }
  requester_justification_config {
    unstructured {}
  }
  approval_workflow {
    manual_approvals {
      require_approver_justification = true
      steps {
        approvals_needed = 1
        approvers {
          principals = var.people.operator # nobody can agree to their own request
        }
      }
    }
  }

  depends_on = [google_project_iam_member.elevation]
}

# Google's own account, which gives and takes those rights.
resource "google_project_iam_member" "elevation" {
  count = local.elevates ? 1 : 0

  project = var.project
  role    = "roles/privilegedaccessmanager.projectServiceAgent"
  member  = "serviceAccount:service-org-${var.organization}@gcp-sa-pam.iam.gserviceaccount.com"
}
