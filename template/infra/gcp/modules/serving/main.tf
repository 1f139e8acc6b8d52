# Who may ask the endpoint. Google gives this right for a project's endpoints, not for one of them.
# The endpoint itself, its models and machines are made by a release, and taken down by `make stop`.

resource "google_project_iam_custom_role" "caller" {
  role_id     = replace("${var.role}-caller", "-", "_")
  title       = "${var.role} caller"
  permissions = ["aiplatform.endpoints.predict"]
}

resource "google_project_iam_member" "caller" {
  for_each = toset(var.callers)

  project = var.project
  role    = google_project_iam_custom_role.caller.name
  member  = each.value
}
