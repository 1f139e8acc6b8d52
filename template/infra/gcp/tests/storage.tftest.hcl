# Versioned, never public, one bucket for each environment, and a copy only where somebody may have it.

mock_provider "google" {}

variables {
  bucket         = "flights-prod"
  region         = "europe-west4"
  writers        = ["serviceAccount:p"]
  readers        = ["group:a"]
  status_readers = ["group:o"]
  guests         = []
  masked_readers = []
  protect        = true
}

run "safe" {
  module {
    source = "./modules/storage"
  }
  assert {
    condition = alltrue([for bucket in google_storage_bucket.this : (
      bucket.versioning[0].enabled && bucket.uniform_bucket_level_access && bucket.public_access_prevention == "enforced"
    )])
    error_message = "A bucket keeps no versions, or could be public."
  }
  assert {
    condition     = !google_storage_bucket.this["data"].force_destroy
    error_message = "A destroy would take the data along."
  }
  assert {
    condition     = keys(google_storage_bucket.this) == ["data"] && output.masked == null
    error_message = "There is a copy that nobody asked for."
  }
  assert {
    condition     = google_storage_bucket_iam_member.this["data objectViewer group:o deployments/"].condition[0].expression == "resource.type == 'storage.googleapis.com/Bucket' || resource.name.startsWith('projects/_/buckets/flights-prod/objects/deployments/')"
    error_message = "An operator reads data."
  }
  assert {
    condition     = [for one in google_storage_bucket_iam_member.this : one.member if one.role == "roles/storage.objectUser"] == ["serviceAccount:p"]
    error_message = "Somebody else writes."
  }
}

run "the_masked_copy" {
  module {
    source = "./modules/storage"
  }
  variables {
    masked_readers = ["serviceAccount:d"]
  }
  assert {
    condition     = output.masked == "flights-prod-masked"
    error_message = "There is no copy."
  }
  assert {
    condition = alltrue([for one in google_storage_bucket_iam_member.this : (
      one.bucket == "flights-prod-masked" && one.role == "roles/storage.objectViewer"
    ) if one.member == "serviceAccount:d"])
    error_message = "dev reads more than the masked copy, or writes."
  }
}

run "others_read_its_data_and_use_its_models" {
  module {
    source = "./modules/storage"
  }
  variables {
    guests = ["principalSet://others"]
  }
  assert {
    condition = [for one in google_storage_bucket_iam_member.this : "${one.role} ${one.condition[0].title}" if one.member == "principalSet://others"] == [
      "roles/storage.objectUser only registry/", "roles/storage.objectViewer only dvc/",
    ]
    error_message = "Other environments may do more, or less."
  }
}

run "a_clean_destroy" {
  module {
    source = "./modules/storage"
  }
  variables {
    protect = false
  }
  assert {
    condition     = google_storage_bucket.this["data"].force_destroy && google_storage_bucket.this["data"].soft_delete_policy[0].retention_duration_seconds == 0
    error_message = "Something would be left, and cost."
  }
}
