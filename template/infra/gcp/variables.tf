variable "environment" {
  description = "The environment: environments/<environment>.yaml has its names."
  type        = string
  validation {
    condition     = can(regex("^(dev|test|staging|shadow|prod)$", var.environment))
    error_message = "environment is ${var.environment}: dev, test, staging, shadow or prod."
  }
}

variable "project" {
  description = "The project's slug: repository, model and endpoint are called so."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.project))
    error_message = "project is ${var.project}: at most 40 lower-case letters, digits and hyphens."
  }
}

variable "repository" {
  description = <<-EOT
    Whose jobs are trusted. path: owner/name or group/name. id: its number, which a new repository of the
    same name does not get. owner_id: the owner's number (GitHub). issuer: of tokens, if not the platform's
    public one. subjects: of each environment's service connection (Azure DevOps), as it shows it.
  EOT
  type = object({
    path     = string
    id       = optional(string, "")
    owner_id = optional(string, "")
    issuer   = optional(string, "")
    subjects = optional(map(string), {})
  })
}

variable "ci" {
  description = "The CI platform."
  type        = string
  validation {
    condition     = contains(["github", "gitlab", "azure-devops"], var.ci)
    error_message = "ci is ${var.ci}: github, gitlab or azure-devops."
  }
}

variable "owner" {
  description = "The team that owns the model."
  type        = string
}

variable "cost_centre" {
  description = "Who pays."
  type        = string
}

variable "data_class" {
  description = "How the data is classified, such as internal or confidential."
  type        = string
}

variable "compliance" {
  description = "The rules that apply, such as none or gdpr."
  type        = string
}

variable "people" {
  description = "Groups of each persona, by e-mail address; a persona without a group has no rights."
  type        = map(list(string))
  default     = {}
  validation {
    condition = length(setsubtract(keys(var.people), [
      "data_scientist", "ml_engineer", "model_validator", "operator", "auditor"
    ])) == 0
    error_message = "people has ${join(", ", keys(var.people))}: only data_scientist, ml_engineer, model_validator, operator and auditor are known."
  }
}

variable "budget" {
  description = "Amount a month in the billing account's currency, and who is told at 50, 80 and 100 %."
  type        = object({ amount = number, currency = string, emails = list(string) })
  validation {
    condition     = var.budget.amount > 0 && floor(var.budget.amount) == var.budget.amount
    error_message = "budget.amount is ${var.budget.amount}: a whole number above 0."
  }
  validation {
    condition     = length(var.budget.emails) > 0 && length(var.budget.emails) <= 5
    error_message = "budget.emails has ${length(var.budget.emails)} addresses: 1 to 5 (Google's limit)."
  }
}

variable "protect" {
  description = "Refuse to destroy data and state. To destroy: set it to false, apply, destroy."
  type        = bool
  default     = true
}

variable "network" {
  description = "A network for the team's own machines, such as a runner; null: none. Jobs and endpoints run in Google's."
  type        = object({ cidr = string })
  default     = null
}

# Google Cloud's own.

variable "organization" {
  description = "The organisation's number; rights for a time (Privileged Access Manager) need it. Empty: there is none."
  type        = string
  default     = ""
}

variable "callers" {
  description = "IAM members that may ask the endpoint, such as serviceAccount:shop@project.iam.gserviceaccount.com."
  type        = list(string)
  default     = []
  validation {
    condition     = length(setintersection(var.callers, ["allUsers", "allAuthenticatedUsers"])) == 0
    error_message = "callers names everybody: name accounts or groups."
  }
}

variable "masked_for" {
  description = "Environments that may read the masked copy of this one's data; apply those first. Empty: there is no copy."
  type        = list(string)
  default     = []
  validation {
    condition     = !contains(var.masked_for, "prod")
    error_message = "masked_for has prod, which needs no copy: name environments below this one."
  }
}

variable "alerts" {
  description = "p99 in milliseconds above which, and seconds without a request after which somebody is told (0: never)."
  type        = object({ latency_ms = number, silence = optional(number, 0) })
  default     = { latency_ms = 1000 }
}
