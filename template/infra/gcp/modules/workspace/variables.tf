variable "project" {
  description = "The project's id."
  type        = string
}

variable "region" {
  description = "Where Vertex AI is used."
  type        = string
}

variable "elevates" {
  description = "Whether people may ask for rights for a time."
  type        = bool
}

variable "audited" {
  description = "Whether every access to data is logged."
  type        = bool
}
