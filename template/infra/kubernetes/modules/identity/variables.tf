variable "namespace" {
  type        = string
  description = "The environment's namespace."
}

variable "labels" {
  type        = map(string)
  description = "Of every object."
}

variable "name" {
  type        = string
  description = "What the project's objects begin with."
}

variable "environment" {
  type        = string
  description = "Of the pipeline's jobs."
}

variable "protected" {
  type        = bool
  description = "`protected` of the environment's file: people only read."
}

variable "people" {
  type        = map(list(string))
  description = "The groups of each persona."
}

variable "ci" {
  type        = string
  description = "github, gitlab or azure-devops."
}

variable "repository" {
  type        = object({ path = string, owner_id = string, id = string, issuer = string, subjects = map(string) })
  description = "Whose pipelines are believed."
}
