variable "project" {
  description = "The project's id."
  type        = string
}

variable "environment" {
  description = "The environment whose jobs are trusted."
  type        = string
}

variable "prefix" {
  description = "The pool's name, with which the names of accounts and roles begin."
  type        = string
}

variable "provider_name" {
  description = "The provider's name as a whole, as cloud.provider has it."
  type        = string
  validation {
    condition     = can(regex("^projects/[0-9]+/locations/global/workloadIdentityPools/[a-z][a-z0-9-]{2,22}[a-z0-9]/providers/[a-z0-9-]{4,32}$", var.provider_name))
    error_message = "cloud.provider is '${var.provider_name}': projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/ID, with at most 24 letters in POOL."
  }
}

variable "trusted" {
  description = "Environments whose jobs have tokens that are taken, and whether only protected branches have them: this one, and the one that asks nobody."
  type        = map(bool)
}

variable "audiences" {
  description = "Whom those tokens are for."
  type        = list(string)
}

variable "ci" {
  description = "The CI platform."
  type        = string
}

variable "repository" {
  description = "Whose jobs are trusted."
  type = object({
    path     = string
    id       = string
    owner_id = string
    issuer   = string
    subjects = map(string)
  })
}

variable "service_account" {
  description = "The e-mail address of who servers and jobs run as."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]@[^@]+$", var.service_account))
    error_message = "cloud.service_account is '${var.service_account}': name who servers and jobs run as, such as models@PROJECT.iam.gserviceaccount.com. Vertex AI's own account may do far more than they need."
  }
}

variable "people" {
  description = "IAM members of each persona."
  type        = map(list(string))
}

variable "guests" {
  description = "IAM members of other environments that use the models registered here."
  type        = list(string)
}

variable "locked" {
  description = "Whether only the pipeline writes here."
  type        = bool
}

variable "organization" {
  description = "The organisation's number; empty: there is none."
  type        = string
}

variable "bucket" {
  description = "The bucket with the journals."
  type        = string
}
