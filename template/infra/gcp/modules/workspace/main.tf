# Vertex AI has no workspace: a project with these services on is one.

locals {
  services = toset(concat([
    "aiplatform",
    "artifactregistry",
    "billingbudgets",
    "cloudbilling",
    "cloudresourcemanager",
    "compute",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "serviceusage",
    "storage",
    "sts",
  ], var.elevates ? ["privilegedaccessmanager"] : []))
}

resource "google_project_service" "this" {
  for_each = local.services

  project            = var.project
  service            = "${each.value}.googleapis.com"
  disable_on_destroy = false # others may use the project; a service that is on costs nothing
}

# Who read or wrote data and models; who changed anything is logged in any case.
resource "google_project_iam_audit_config" "this" {
  for_each = var.audited ? toset(["aiplatform.googleapis.com", "storage.googleapis.com"]) : []

  project = var.project
  service = each.value

  dynamic "audit_log_config" {
    for_each = ["DATA_READ", "DATA_WRITE"]
    content {
      log_type = audit_log_config.value
    }
  }

  depends_on = [google_project_service.this]
}
