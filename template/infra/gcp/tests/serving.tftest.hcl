# Callers may ask, and nothing else.

mock_provider "google" {}

variables {
  project = "example-prod"
  region  = "europe-west4"
  name    = "flights-prod"
  role    = "flights-prod"
  callers = ["serviceAccount:shop@example.iam.gserviceaccount.com"]
}

run "callers" {
  module {
    source = "./modules/serving"
  }
  assert {
    condition     = tolist(google_project_iam_custom_role.caller.permissions) == tolist(["aiplatform.endpoints.predict"])
    error_message = "A caller may do more than ask."
  }
  assert {
    condition     = google_project_iam_member.caller["serviceAccount:shop@example.iam.gserviceaccount.com"].role == google_project_iam_custom_role.caller.name
    error_message = "The shop may not ask."
  }
  assert {
    condition     = output.endpoint.url == "https://europe-west4-aiplatform.googleapis.com/v1/projects/example-prod/locations/europe-west4/endpoints/flights-prod:rawPredict"
    error_message = "Callers would ask elsewhere: ${output.endpoint.url}"
  }
}
