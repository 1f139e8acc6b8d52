variable "environment" {
  type        = string
  description = "The environment, as environments/ at the root names it."
  validation {
    condition     = contains(["dev", "test", "staging", "shadow", "prod"], var.environment)
    error_message = "environment takes dev, test, staging, shadow or prod."
  }
}

variable "project" {
  type        = string
  description = "The project's slug."
}

variable "repository" {
  type = object({
    path     = string                           # owner/name; group/name; organisation/project
    owner_id = optional(string, "")             # GitHub: the owner's number
    id       = optional(string, "")             # GitHub: the repository's number
    host     = optional(string, "gitlab.com")   # of GitLab
    branches = optional(list(string), ["main"]) # GitLab: its tokens name a branch, not an environment
  })
  description = "The repository whose pipelines are trusted. GitHub's from before 2026-07-15 have no numbers in their tokens."
  validation {
    condition     = can(regex("^[^/*?]+(/[^/*?]+)+$", var.repository.path))
    error_message = "repository.path is ${var.repository.path}: give owner/name, without wildcards."
  }
  validation {
    condition     = (var.repository.owner_id == "") == (var.repository.id == "")
    error_message = "GitHub's tokens have both numbers or none: give repository.owner_id and repository.id, or neither."
  }
}

variable "ci" {
  type        = string
  description = "The platform of the pipelines: github, gitlab or azure-devops."
  validation {
    condition     = contains(["github", "gitlab", "azure-devops"], var.ci)
    error_message = "ci takes github, gitlab or azure-devops."
  }
}

variable "owner" {
  type        = string
  description = "Tag: the team that answers for it."
}

variable "cost_centre" {
  type        = string
  description = "Tag: who pays."
}

variable "data_class" {
  type        = string
  description = "Tag: how sensitive the data is, such as internal or confidential."
}

variable "compliance" {
  type        = string
  description = "Tag: the rules that apply, such as gdpr; or none."
}

variable "people" {
  type        = map(list(string))
  default     = {}
  description = "Who works here: object ids of Entra groups by persona."
  validation {
    condition = length(setsubtract(keys(var.people), [
      "data_scientist", "ml_engineer", "model_validator", "operator", "auditor"
    ])) == 0
    error_message = "people takes data_scientist, ml_engineer, model_validator, operator and auditor."
  }
}

variable "budget" {
  type        = object({ amount = number, emails = list(string) })
  description = "What a month may cost, in the subscription's currency, and who hears of it."
  validation {
    condition     = var.budget.amount > 0 && length(var.budget.emails) > 0
    error_message = "budget needs an amount above 0 and at least one address."
  }
}

variable "protect" {
  type        = bool
  description = "Refuse to destroy anything. To destroy: set it to false, apply, destroy."
}

variable "network" {
  type = object({
    private = bool # private endpoints only: runners must be in the network
    cidr    = optional(string, "10.20.0.0/24")
    allowed = optional(list(string), []) # public: addresses let in; empty: all, by their login
  })
  default     = { private = false }
  description = "Who reaches the services over which network."
}

variable "nodes" {
  type        = number
  default     = 2
  description = "The most machines of the cluster that cloud.compute names; without one, jobs are serverless."
}

variable "image_readers" {
  type        = list(string)
  default     = []
  description = "In dev, which makes the registry: object ids of those that pull, the others' output image_readers."
}

variable "replica_readers" {
  type        = list(string)
  default     = []
  description = "Object ids of lower environments' identities (their output jobs) that may read the masked replica."
}

variable "callers" {
  type        = list(string)
  default     = []
  description = "Object ids of those who may call the endpoint."
}

variable "retention" {
  type = object({
    versions = optional(number, 90) # days that an overwritten or deleted file can be had back
    scratch  = optional(number, 30) # days that a job's files stay
    logs     = optional(number, 30) # days, 30 at least
  })
  default     = {}
  description = "How long things are kept."
}

variable "alerts" {
  type = object({
    errors     = optional(number, 1)   # 5xx answers a minute
    latency_ms = optional(number, 500) # of the slowest twentieth
    quiet      = optional(string, "")  # no request for so long, such as PT1H; empty: never mind
    quota      = optional(number, 80)  # percent of the machines that may be had
  })
  default     = {}
  description = "When somebody is told."
}

variable "elevation" {
  type        = object({ hours = number, days = number }) # of one activation; until the eligibility ends
  default     = null
  description = "Rights for a time in protected environments, by Privileged Identity Management; null: none."
  validation {
    condition     = try(contains([15, 30, 90, 180, 365], var.elevation.days) && var.elevation.hours >= 1 && var.elevation.hours <= 23, var.elevation == null)
    error_message = "elevation takes hours from 1 to 23, and days 15, 30, 90, 180 or 365: Entra knows no others."
  }
}
