# Whose tokens the API server believes, and who the pipeline of an environment is by them. GitHub and Azure
# DevOps say it in the subject; GitLab's has no environment, so a claim says it.
variable "environments" {
  type        = list(string)
  description = "Of the pipeline's jobs."
}

variable "ci" {
  type        = string
  description = "github, gitlab or azure-devops."
}

variable "repository" {
  type        = object({ path = string, owner_id = string, id = string, issuer = string, subjects = map(string) })
  description = "Whose pipelines are believed."
  validation {
    condition     = var.ci != "gitlab" || var.repository.id != ""
    error_message = "gitlab: repository.id is the project's number, which stands on its page."
  }
  validation {
    condition     = var.ci != "azure-devops" || (var.repository.issuer != "" && length(setsubtract(var.environments, keys(var.repository.subjects))) == 0)
    error_message = "azure-devops: repository.issuer and subjects are what the service connection of each environment shows."
  }
}

locals {
  parts = split("/", var.repository.path)
  # Ids are in the subjects of repositories made since July 2026: a name that is reused is not believed.
  prefix = var.repository.id == "" ? "repo:${var.repository.path}" : join("", [
    "repo:${local.parts[0]}@${var.repository.owner_id}/", "${local.parts[1]}@${var.repository.id}"
  ])
  trust = {
    github = {
      issuer   = "https://token.actions.githubusercontent.com"
      audience = "kubernetes"
      users    = { for name in var.environments : name => "${local.prefix}:environment:${name}" }
      username = "claims.sub"
      rule     = "claims.sub.startsWith('${local.prefix}:environment:')"
      refused  = "another repository, or a job without an environment"
    }
    gitlab = {
      issuer   = "https://gitlab.com"
      audience = "kubernetes"
      users    = { for name in var.environments : name => "project:${var.repository.id}:environment:${name}" }
      username = "'project:' + claims.project_id + ':environment:' + claims.environment"
      # Whoever may push can write an environment's name into a job: a protected branch is the review.
      rule    = "claims.project_id == '${var.repository.id}' && has(claims.environment) && (claims.environment == 'dev' || claims.ref_protected == 'true')"
      refused = "another project, a job without an environment, or one beyond dev of a branch that is not protected"
    }
    azure-devops = {
      issuer   = ""
      audience = "api://AzureADTokenExchange"
      users    = { for name in var.environments : name => lookup(var.repository.subjects, name, "") }
      username = "claims.sub"
      rule     = "claims.sub in ['${join("', '", values(var.repository.subjects))}']"
      refused  = "another service connection"
    }
  }[var.ci]
}

output "users" {
  description = "Who the pipeline is for RBAC, by environment: this repository in this environment."
  value       = { for name, user in local.trust.users : name => "${var.ci}:${user}" }
}

output "authentication" {
  description = "An AuthenticationConfiguration of the API server."
  value = yamlencode({
    apiVersion = "apiserver.config.k8s.io/v1beta1"
    kind       = "AuthenticationConfiguration"
    jwt = [{
      issuer = {
        url       = var.repository.issuer != "" ? var.repository.issuer : local.trust.issuer
        audiences = [local.trust.audience]
      }
      claimValidationRules = [{ expression = local.trust.rule, message = local.trust.refused }]
      claimMappings        = { username = { expression = "'${var.ci}:' + ${local.trust.username}" } }
    }]
  })
}
