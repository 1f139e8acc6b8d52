output "image" {
  description = "cloud.image."
  value       = var.image
  precondition {
    condition     = !strcontains(element(split("/", var.image), -1), ":")
    error_message = "cloud.image: the repository without a tag; a version is its tag."
  }
}

output "job_image" {
  description = "cloud.job_image."
  value       = var.job_image
  precondition {
    condition     = var.job_image == "" || can(regex("(:[^/]+|@sha256:.+)$", var.job_image)) && !endswith(var.job_image, ":latest")
    error_message = "cloud.job_image: with a tag that is not latest, or a digest."
  }
}
