output "bucket" {
  description = "The bucket's name."
  value       = google_storage_bucket.this["data"].name
}

output "masked" {
  description = "The name of the masked copy's bucket; null: there is none."
  value       = one([for key, bucket in google_storage_bucket.this : bucket.name if key == "masked"])
}

output "writers" {
  description = "Who writes the data."
  value       = sort([for one in google_storage_bucket_iam_member.this : one.member if one.bucket == var.bucket && one.role == "roles/storage.objectUser"])
}

output "masked_readers" {
  description = "Who reads the masked copy."
  value       = sort([for one in google_storage_bucket_iam_member.this : one.member if one.bucket != var.bucket && one.role == "roles/storage.objectViewer"])
}
