variable "bucket" {
  type        = string
  description = "cloud.bucket."
}

variable "endpoint_url" {
  type        = string
  description = "cloud.endpoint_url; empty: Amazon's own."
}

variable "others" {
  type        = list(string)
  description = "The buckets of the other environments."
}
