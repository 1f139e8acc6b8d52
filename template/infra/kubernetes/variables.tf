variable "environment" {
  type        = string
  description = "The environment: environments/NAME.yaml says its names."
  validation {
    condition     = contains(["dev", "test", "staging", "shadow", "prod"], var.environment)
    error_message = "An environment is one of dev, test, staging, shadow, prod."
  }
}

variable "project" {
  type        = string
  description = "The project's slug, as in src/mlops/project.py."
}

variable "repository" {
  type = object({
    path     = string
    owner_id = optional(string, "")
    id       = optional(string, "")
    issuer   = optional(string, "")
    subjects = optional(map(string), {})
  })
  description = "Whose pipelines are trusted. GitHub: the numbers of owner and repository, empty if it is from before July 2026; GitLab: id, the project's; Azure DevOps: issuer, and subjects by environment."
}

variable "ci" {
  type        = string
  description = "Who runs the pipelines: github, gitlab or azure-devops."
  validation {
    condition     = contains(["github", "gitlab", "azure-devops"], var.ci)
    error_message = "ci is one of github, gitlab, azure-devops."
  }
}

variable "owner" {
  type        = string
  description = "The team that answers for it: a label."
}

variable "cost_centre" {
  type        = string
  description = "Who pays: a label."
}

variable "data_class" {
  type        = string
  description = "How sensitive the data is: a label."
}

variable "compliance" {
  type        = string
  description = "The rules it is held against: a label."
}

variable "people" {
  type        = map(list(string))
  description = "The groups of each persona, as the API server knows them."
  validation {
    condition = length(setsubtract(keys(var.people), [
      "data_scientist", "ml_engineer", "model_validator", "operator", "auditor"
    ])) == 0
    error_message = "Personas are data_scientist, ml_engineer, model_validator, operator and auditor."
  }
}

variable "budget" {
  type = object({
    amount   = number
    currency = string
    emails   = list(string)
  })
  description = "What a month may cost, and who hears of it."
}

variable "network" {
  type = object({
    gateway_class        = string
    certificate_issuer   = optional(string, "")
    monitoring_namespace = optional(string, "monitoring")
  })
  description = "The GatewayClass, cert-manager's Issuer of its certificate (empty: a Secret is put there by hand), and where Prometheus runs."
}

variable "sizes" {
  type = object({
    cpu    = number
    memory = number
    gpus   = optional(number, 0)
    pods   = optional(number, 50)
  })
  description = "The most that the environment may ask for: cores, GiB, GPUs, pods."
}

variable "prices" {
  type = object({
    cpu    = number
    memory = number
    gpu    = optional(number, 0)
  })
  description = "What the cluster's owner charges for an hour of a core, a GiB, a GPU, in the budget's currency."
}
