variable "project" {
  description = "The project's id."
  type        = string
}

variable "region" {
  description = "Where the endpoint is."
  type        = string
}

variable "name" {
  description = "What the endpoint is called."
  type        = string
}

variable "role" {
  description = "What the role's name begins with."
  type        = string
}

variable "callers" {
  description = "IAM members that may ask."
  type        = list(string)
}
