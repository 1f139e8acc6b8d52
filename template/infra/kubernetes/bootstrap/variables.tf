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

variable "network" {
  type = object({
    gateway_class        = string
    certificate_issuer   = optional(string, "")
    monitoring_namespace = optional(string, "monitoring")
  })
  description = "The GatewayClass, cert-manager's Issuer of its certificate (empty: a Secret is put there by hand), and where Prometheus runs."
}

variable "install" {
  type        = object({ monitoring = optional(bool, false), argo_cd = optional(bool, false) })
  default     = {}
  description = "What this cluster lacks: kube-prometheus-stack, Argo CD."
}
