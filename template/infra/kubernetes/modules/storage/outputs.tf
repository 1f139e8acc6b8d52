output "bucket" {
  description = "cloud.bucket, which is no other environment's."
  value       = var.bucket
  precondition {
    condition     = var.bucket != "" && !contains(var.others, var.bucket)
    error_message = "cloud.bucket: each environment has one of its own, or dev could write prod's."
  }
}

output "endpoint_url" {
  description = "cloud.endpoint_url."
  value       = var.endpoint_url
  precondition {
    condition     = var.endpoint_url == "" || startswith(var.endpoint_url, "https://")
    error_message = "cloud.endpoint_url: https:// only."
  }
}
