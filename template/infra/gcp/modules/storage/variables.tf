variable "bucket" {
  description = "The bucket's name."
  type        = string
}

variable "region" {
  description = "Where it is."
  type        = string
}

variable "writers" {
  description = "IAM members that write it."
  type        = list(string)
}

variable "readers" {
  description = "IAM members that read all of it."
  type        = list(string)
}

variable "status_readers" {
  description = "IAM members that read how releases stand."
  type        = list(string)
}

variable "guests" {
  description = "IAM members of other environments that read the data and use the models registered here."
  type        = list(string)
}

variable "masked_readers" {
  description = "IAM members of other environments that read the masked copy; none: there is no copy."
  type        = list(string)
}

variable "protect" {
  description = "Whether a bucket that holds anything survives."
  type        = bool
}
