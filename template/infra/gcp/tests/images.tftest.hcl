# The repository that cloud.image names, made by the project that holds it.

mock_provider "google" {}

variables {
  project  = "example-dev"
  image    = "europe-west4-docker.pkg.dev/example-dev/models/flights"
  packages = "flights-packages"
  writers  = ["serviceAccount:p"]
  readers  = ["serviceAccount:r", "serviceAccount:r"]
}

run "own" {
  module {
    source = "./modules/images"
  }
  assert {
    condition = (
      google_artifact_registry_repository.this["DOCKER"].repository_id == "models" &&
      google_artifact_registry_repository.this["DOCKER"].location == "europe-west4"
    )
    error_message = "The repository is not the one that cloud.image names."
  }
  assert {
    condition     = output.packages == "https://europe-west4-python.pkg.dev/example-dev/flights-packages/simple/"
    error_message = "pip would not find ${output.packages}."
  }
  assert {
    condition     = length(google_artifact_registry_repository_iam_member.this) == 4
    error_message = "Somebody has more rights, or less."
  }
}

run "another_project_s" {
  module {
    source = "./modules/images"
  }
  variables {
    project = "example-prod"
  }
  assert {
    condition     = length(google_artifact_registry_repository.this) == 0 && output.packages == null
    error_message = "prod makes dev's repository."
  }
}

run "with_a_tag" {
  command = plan
  module {
    source = "./modules/images"
  }
  variables {
    image = "europe-west4-docker.pkg.dev/example-dev/models/flights:1"
  }
  expect_failures = [var.image]
}
