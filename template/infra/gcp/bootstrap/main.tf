# Where one environment's state lies, and as whom its pipelines plan and apply. `make infra-bootstrap ENV=dev`
# makes it, once; whoever runs it may administer the project, and its billing account. The project with a
# billing account is the organisation's to make; its number stands in cloud.provider.
#
# Its own state is on this machine, in terraform.tfstate. Move it into the bucket that it made: uncomment the
# block below, and
#   terraform -chdir=infra/gcp/bootstrap init -migrate-state -backend-config=bucket=BUCKET    as its output says
# Before the next environment, comment it again, and remove .terraform and terraform.tfstate.
terraform {
  required_version = ">= 1.11, < 2.0"
  required_providers {
    google = { source = "hashicorp/google", version = ">= 7.45, < 9.0" }
  }
  # backend "gcs" { prefix = "bootstrap" }
}

variable "environment" {
  description = "The environment: environments/<environment>.yaml has its names."
  type        = string
}

variable "protect" {
  description = "Refuse to destroy the state. To destroy: set it to false, apply, destroy."
  type        = bool
  default     = true
}

locals {
  names  = yamldecode(file("${path.root}/../../../environments/${var.environment}.yaml")).cloud
  prefix = split("/", local.names.provider)[5]

  # A line for each kind of thing that infra/gcp makes.
  apply = [
    "artifactregistry.admin",
    "compute.networkAdmin",
    "compute.securityAdmin",
    "iam.roleAdmin",
    "iam.serviceAccountAdmin",
    "iam.workloadIdentityPoolAdmin",
    "monitoring.editor",
    "privilegedaccessmanager.admin",
    "resourcemanager.projectIamAdmin",
    "serviceusage.serviceUsageAdmin",
    "storage.admin",
  ]
  # The same things, read; and none of the data. Google's own Viewer reads objects, too.
  plan = [
    "artifactregistry.repositories.get",
    "artifactregistry.repositories.getIamPolicy",
    "compute.firewalls.get",
    "compute.networks.get",
    "compute.subnetworks.get",
    "iam.roles.get",
    "iam.serviceAccounts.get",
    "iam.serviceAccounts.getIamPolicy",
    "iam.workloadIdentityPoolProviders.get",
    "iam.workloadIdentityPools.get",
    "monitoring.alertPolicies.get",
    "monitoring.dashboards.get",
    "monitoring.notificationChannels.get",
    "privilegedaccessmanager.entitlements.get",
    "resourcemanager.projects.get",
    "resourcemanager.projects.getIamPolicy",
    "serviceusage.services.get",
    "serviceusage.services.list",
    "serviceusage.services.use",
    "storage.buckets.get",
    "storage.buckets.getIamPolicy",
  ]
}

# Whoever is logged in: a person, by gcloud.
provider "google" {
  project               = local.names.project
  region                = local.names.region
  default_labels        = { environment = var.environment, purpose = "terraform-state" }
  user_project_override = true
  billing_project       = local.names.project
}

data "google_project" "this" {
  project_id = local.names.project
}

resource "google_project_service" "this" {
  for_each = toset(["cloudbilling", "cloudresourcemanager", "iam", "serviceusage", "storage"])

  service            = "${each.value}.googleapis.com"
  disable_on_destroy = false
}

resource "google_storage_bucket" "state" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs say who changed it; access logs of a bucket need another bucket.
  name                        = "${local.names.bucket}-state"
  location                    = local.names.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protect

  versioning {
    enabled = true
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions         = 20
      days_since_noncurrent_time = 90
    }
  }

  depends_on = [google_project_service.this]
}

# Whose jobs act as them, infra/gcp says.
resource "google_service_account" "this" {
  for_each = { plan = "reads", apply = "makes" }

  account_id   = "${local.prefix}-${each.key}"
  display_name = "${title(each.value)} the infrastructure of ${local.prefix}"

  depends_on = [google_project_service.this]
}

resource "google_project_iam_custom_role" "plan" {
  role_id     = replace("${local.prefix}-plan", "-", "_")
  title       = "${local.prefix} plan"
  permissions = local.plan

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "plan" {
  project = local.names.project
  role    = google_project_iam_custom_role.plan.name
  member  = google_service_account.this["plan"].member
}

resource "google_project_iam_member" "apply" {
  #checkov:skip=CKV_GCP_49:It makes the accounts of infra/gcp, which are not there yet.
  for_each = toset(local.apply)

  project = local.names.project
  role    = "roles/${each.value}"
  member  = google_service_account.this["apply"].member
}

# A plan takes no lock: it writes nothing.
resource "google_storage_bucket_iam_member" "plan" {
  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.this["plan"].member
}

# Budgets are the billing account's.
resource "google_billing_account_iam_member" "this" {
  for_each = { plan = "roles/billing.viewer", apply = "roles/billing.costsManager" }

  billing_account_id = data.google_project.this.billing_account
  role               = each.value
  member             = google_service_account.this[each.key].member
}

# Refuses before the bucket goes, as in the environment itself; also if this state is another environment's.
resource "terraform_data" "protect" {
  input            = { on = var.protect, environment = var.environment }
  triggers_replace = var.environment
  depends_on = [
    google_storage_bucket_iam_member.plan, google_project_iam_member.plan, google_project_iam_member.apply,
    google_billing_account_iam_member.this,
  ]

  provisioner "local-exec" {
    when    = destroy
    command = self.input.on ? "echo 'The state of ${self.input.environment} is protected: set protect = false, apply, then destroy.' >&2; exit 1" : "true"
  }
}

output "bucket" {
  description = "Where the environment's state lies."
  value       = google_storage_bucket.state.name
}

output "accounts" {
  description = "As whom pipelines plan and apply: mlops.infra.gcp makes up the same."
  value       = { for name, account in google_service_account.this : name => "${account.account_id}@${local.names.project}.iam.gserviceaccount.com" }
}
