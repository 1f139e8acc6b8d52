# Whom an identity trusts: the pipelines of this repository, in these environments. No resource.
variable "ci" { type = string }
variable "environments" { type = list(string) }
variable "repository" {
  type = object({ path = string, owner_id = string, id = string, host = string, branches = list(string) })
}

locals {
  owner = split("/", var.repository.path)[0]
  # Repositories from before 2026-07-15, and GitHub Enterprise Server, have no numbers in their tokens.
  github = var.repository.owner_id == "" ? var.repository.path : join("/", [
    "${local.owner}@${var.repository.owner_id}",
    "${trimprefix(var.repository.path, "${local.owner}/")}@${var.repository.id}",
  ])

  trusted = {
    github = {
      issuer   = "https://token.actions.githubusercontent.com"
      subjects = { for environment in var.environments : environment => "repo:${local.github}:environment:${environment}" }
    }
    # The token names the branch, not the environment, and Azure compares it to the letter: what a branch
    # may do is for its protection to say.
    gitlab = {
      issuer = "https://${var.repository.host}"
      subjects = {
        for branch in var.repository.branches : replace(branch, "/[^A-Za-z0-9-]/", "-") =>
        "project_path:${var.repository.path}:ref_type:branch:ref:${branch}"
      }
    }
    # Azure DevOps names its subject once the connection is there: bootstrap/azure-devops.tf.
    azure-devops = { issuer = "", subjects = {} }
  }
}

output "issuer" { value = local.trusted[var.ci].issuer }
output "subjects" { value = local.trusted[var.ci].subjects }
