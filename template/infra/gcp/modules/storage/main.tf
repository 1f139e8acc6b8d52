# One bucket: DVC's remote (dvc/), journals (deployments/), the registry (registry/) and jobs (jobs/).
# Google encrypts it with keys of its own: a key ring could never be destroyed.

locals {
  buckets = merge(
    { data = var.bucket },
    length(var.masked_readers) > 0 ? { masked = "${var.bucket}-masked" } : {},
  )
  # Whoever writes the data writes the copy, once it is masked; nobody else here needs it.
  grants = toset(concat(
    [for pair in setproduct(keys(local.buckets), var.writers) : { bucket = pair[0], role = "objectUser", member = pair[1], only = "" }],
    [for member in var.readers : { bucket = "data", role = "objectViewer", member = member, only = "" }],
    [for member in var.status_readers : { bucket = "data", role = "objectViewer", member = member, only = "deployments/" }],
    [for member in var.guests : { bucket = "data", role = "objectViewer", member = member, only = "dvc/" }],
    [for member in var.guests : { bucket = "data", role = "objectUser", member = member, only = "registry/" }],
    [for member in var.masked_readers : { bucket = "masked", role = "objectViewer", member = member, only = "" }],
  ))
}

resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs say who reads and writes (workspace); access logs need another bucket.
  for_each = local.buckets

  name                        = each.value
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protect

  versioning {
    enabled = true
  }
  soft_delete_policy {
    retention_duration_seconds = var.protect ? 30 * 24 * 60 * 60 : 0
  }
  lifecycle_rule { # what was overwritten or deleted
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 90
      with_state                 = "ARCHIVED"
    }
  }
  lifecycle_rule { # results of jobs have been fetched by then
    action {
      type = "Delete"
    }
    condition {
      age            = 30
      matches_prefix = ["jobs/"]
    }
  }
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = { for one in local.grants : trimspace("${one.bucket} ${one.role} ${one.member} ${one.only}") => one }

  bucket = google_storage_bucket.this[each.value.bucket].name
  role   = "roles/storage.${each.value.role}"
  member = each.value.member

  dynamic "condition" {
    for_each = each.value.only == "" ? [] : [each.value.only]
    content {
      title      = "only ${condition.value}"
      expression = "resource.type == 'storage.googleapis.com/Bucket' || resource.name.startsWith('projects/_/buckets/${local.buckets[each.value.bucket]}/objects/${condition.value}')"
    }
  }
}
