# The same on every provider ---------------------------------------------------
variable "environment" {
  type        = string
  description = "The environment, a file of environments/."
  validation {
    condition     = contains(["dev", "test", "staging", "shadow", "prod"], var.environment)
    error_message = "${var.environment} is not an environment: give dev, test, staging, shadow or prod."
  }
}

variable "project" { type = string } # the slug, which names begin with

variable "repository" {
  type = object({
    path     = string                    # owner/name; group/name; organisation/project
    owner_id = optional(string, "")      # GitHub: the owner's number; Azure DevOps: the organisation's GUID
    id       = optional(string, "")      # GitHub: the repository's number
    issuer   = optional(string, "")      # of the pipelines' tokens, where it is not the platform's public one
    subjects = optional(map(string), {}) # by environment, where they are not the usual ones
  })
  description = "The repository whose pipelines are trusted. GitHub's repositories from before 2026-07-15 have no numbers in their tokens."
  validation {
    condition     = can(regex("^[^/*?]+(/[^/*?]+)+$", var.repository.path))
    error_message = "repository.path is ${var.repository.path}: give owner/name, without wildcards."
  }
  validation {
    condition     = alltrue([for subject in values(var.repository.subjects) : !can(regex("[*?]", subject))])
    error_message = "repository.subjects has a wildcard: give each environment's whole subject."
  }
  validation {
    condition     = (var.repository.owner_id == "") == (var.repository.id == "") || var.ci != "github"
    error_message = "GitHub's tokens have both numbers or none: give repository.owner_id and repository.id, or neither."
  }
}

variable "ci" {
  type        = string
  description = "Where pipelines run."
  validation {
    condition     = contains(["github", "gitlab", "azure-devops"], var.ci)
    error_message = "${var.ci} is not a CI platform: give github, gitlab or azure-devops."
  }
}

variable "owner" { type = string }       # the team that answers for it: a tag
variable "cost_centre" { type = string } # who pays: a tag
variable "data_class" { type = string }  # how sensitive the data is: a tag
variable "compliance" { type = string }  # the rules that the data is under: a tag

variable "people" {
  type        = map(list(string))
  default     = {}
  description = "Who has which persona: names of groups, at AWS the permission sets of IAM Identity Center by which they come into the account."
  validation {
    condition     = length(setsubtract(keys(var.people), ["data_scientist", "ml_engineer", "model_validator", "operator", "auditor"])) == 0
    error_message = "people has ${join(", ", keys(var.people))}: give data_scientist, ml_engineer, model_validator, operator, auditor."
  }
  validation {
    condition     = alltrue([for group in flatten(values(var.people)) : can(regex("^[\\w+=,.@-]+$", group))])
    error_message = "A group of people has a wildcard or a blank in it: give permission sets by their whole names."
  }
}

variable "budget" {
  type = object({
    amount   = number # a month
    currency = optional(string, "USD")
    emails   = list(string)
  })
  description = "What the environment may cost a month, and who hears at 50, 80 and 100 % of it."
  validation {
    condition     = var.budget.amount > 0 && length(var.budget.emails) > 0
    error_message = "Every environment has a budget: give an amount above 0, and whom to tell."
  }
}

variable "protect" {
  type        = bool
  default     = true
  description = "Refuse to destroy data and state. To destroy: set it to false, apply, destroy."
}

variable "network" {
  type = object({
    private = optional(bool, false) # reach the services from a VPC, without the internet
    id      = optional(string, "")  # the VPC
    subnets = optional(list(string), [])
    routes  = optional(list(string), []) # route tables, which S3's endpoint is put into
  })
  default     = {}
  description = "A network that is there already, and whether the services are reached from within it."
  validation {
    condition     = !var.network.private || (var.network.id != "" && length(var.network.subnets) > 0)
    error_message = "network.private needs network.id and network.subnets."
  }
}

# Only at AWS -----------------------------------------------------------------
variable "elevated_until" {
  type        = string
  default     = ""
  description = "Until when operators may act as the pipeline does, such as 2026-12-24T18:00:00Z. Empty: they may not."
  validation {
    condition     = var.elevated_until == "" || can(timeadd(var.elevated_until, "0s"))
    error_message = "elevated_until is ${var.elevated_until}: give a time such as 2026-12-24T18:00:00Z, or nothing."
  }
}

variable "alerts" {
  type = object({
    latency_ms = optional(number, 500) # of the slowest percent
    errors     = optional(number, 1)   # percent of answers that are 5xx
    silence    = optional(number, 0)   # seconds without a request; 0: never mind
    drift      = optional(number, 0.2)
  })
  default     = {}
  description = "When somebody is told."
}

variable "callers" {
  type        = list(string)
  default     = []
  description = "ARNs of the roles that may call the endpoint."
  validation {
    condition     = alltrue([for arn in var.callers : can(regex("^arn:aws:iam::\\d{12}:role/[\\w+=,.@/-]+$", arn))])
    error_message = "callers has what is no role's ARN: give such as arn:aws:iam::123456789012:role/shop."
  }
}

variable "retention" {
  type = object({
    logs     = optional(number, 365) # days, one of those that CloudWatch knows
    versions = optional(number, 90)  # days that an object stays after it was overwritten or deleted
  })
  default     = {}
  description = "How long logs and earlier versions of objects are kept."
}
