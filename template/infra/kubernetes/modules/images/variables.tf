variable "image" {
  type        = string
  description = "cloud.image: a repository."
}

variable "job_image" {
  type        = string
  description = "cloud.job_image: a whole reference; empty if there are no jobs."
}
