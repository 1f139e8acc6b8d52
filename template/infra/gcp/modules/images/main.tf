# The repository that cloud.image names, if it is in this project, and the feed of the team's packages.
# All environments name one repository: the project that holds it makes it, the others read.

locals {
  # REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME
  parts  = split("/", var.image)
  region = trimsuffix(local.parts[0], "-docker.pkg.dev")
  repositories = local.parts[1] != var.project ? {} : {
    DOCKER = { id = local.parts[2], description = "Images of servers and jobs." }
    PYTHON = { id = var.packages, description = "The team's packages." }
  }
  grants = toset(concat(
    [for pair in setproduct(keys(local.repositories), var.writers) : { format = pair[0], role = "writer", member = pair[1] }],
    [for pair in setproduct(keys(local.repositories), var.readers) : { format = pair[0], role = "reader", member = pair[1] }],
  ))
}

resource "google_artifact_registry_repository" "this" {
  #checkov:skip=CKV_GCP_84:Google encrypts it with keys of its own: a key ring could never be destroyed.
  for_each = local.repositories

  location      = local.region
  repository_id = each.value.id
  format        = each.key
  description   = each.value.description

  # Tags can be moved: a job that is run again pushes its version again.
  cleanup_policies {
    id     = "untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "${30 * 24 * 60 * 60}s"
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "this" {
  for_each = { for one in local.grants : "${one.format} ${one.role} ${one.member}" => one }

  location   = local.region
  repository = google_artifact_registry_repository.this[each.value.format].name
  role       = "roles/artifactregistry.${each.value.role}"
  member     = each.value.member
}
