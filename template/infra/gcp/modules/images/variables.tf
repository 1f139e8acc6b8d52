variable "project" {
  description = "The project's id."
  type        = string
}

variable "image" {
  description = "The repository of the servers' images, as cloud.image names it."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9-]+-docker\\.pkg\\.dev/[^/]+/[^/]+/[^/:@]+$", var.image))
    error_message = "cloud.image of the environment's file is '${var.image}': REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME, without a tag."
  }
}

variable "packages" {
  description = "What the feed of packages is called."
  type        = string
}

variable "writers" {
  description = "IAM members that push."
  type        = list(string)
}

variable "readers" {
  description = "IAM members that pull."
  type        = list(string)
}
