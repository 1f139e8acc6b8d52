# Whom the environment trusts: pipelines of one repository and of this environment, endpoints and jobs of
# SageMaker, people by persona. Pipelines change nothing here: identities are an administrator's to apply.
locals {
  iam     = "arn:aws:iam::${var.place.account}"
  trusted = toset([var.place.environment, "dev"])

  # Issuer, audience and subject of the platform's tokens, by environment.
  github = var.repository.id == "" ? var.repository.path : join("/", [
    "${split("/", var.repository.path)[0]}@${var.repository.owner_id}",
    "${split("/", var.repository.path)[1]}@${var.repository.id}",
  ])
  branch = { for name in local.trusted : name => name == "dev" ? "*" : "main" } # merge requests train in dev
  tier   = { dev = "development", test = "testing", staging = "staging", shadow = "other", prod = "production" }
  platform = {
    github = {
      issuer   = "token.actions.githubusercontent.com"
      audience = "sts.amazonaws.com"
      subjects = { for name in local.trusted : name => "repo:${local.github}:environment:${name}" }
    }
    # With the project's setting ci_id_token_sub_claim_components: project_path, ref_type, ref, deployment_tier.
    gitlab = {
      issuer   = "gitlab.com"
      audience = "sts.amazonaws.com"
      subjects = {
        for name in local.trusted :
        name => "project_path:${var.repository.path}:ref_type:branch:ref:${local.branch[name]}:deployment_tier:${local.tier[name]}"
      }
    }
    # By AWS Toolkit for Azure DevOps; a service connection shows its own, which repository.issuer and .subjects take.
    azure-devops = {
      issuer   = "vstoken.dev.azure.com/${var.repository.owner_id}"
      audience = "api://AzureADTokenExchange"
      subjects = { for name in local.trusted : name => "sc://${var.repository.path}/${var.place.project}-${name}" }
    }
  }[var.ci]
  issuer   = trimprefix(coalesce(var.repository.issuer, local.platform.issuer), "https://")
  subjects = merge(local.platform.subjects, var.repository.subjects)

  # `plan` also trusts dev, which asks nobody: a pull request shows what it would change in production
  # without an approval, and reads no data.
  trust = {
    for role, environments in { ci = [var.place.environment], apply = [var.place.environment], plan = local.trusted } :
    role => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Federated = "${local.iam}:oidc-provider/${local.issuer}" }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = {
          StringEquals = { "${local.issuer}:aud" = local.platform.audience }
          StringLike   = { "${local.issuer}:sub" = [for name in environments : local.subjects[name]] }
        }
      }]
    })
  }
  role = regex(":role(/(?:.*/)?)([^/]+)$", var.names.role) # that endpoints and jobs run as: path, name
}

resource "aws_iam_openid_connect_provider" "ci" {
  count          = var.makes_issuer ? 1 : 0
  url            = "https://${local.issuer}"
  client_id_list = [local.platform.audience]
}

# `ci` makes, trains, registers and releases; `plan` and `apply` are Terraform in a pipeline.
resource "aws_iam_role" "pipeline" {
  for_each             = local.trust
  name                 = "${var.place.name}-${each.key}"
  description          = "Pipelines of ${var.repository.path} in ${var.place.environment}: ${each.key}"
  assume_role_policy   = each.value
  max_session_duration = each.key == "ci" ? 21600 : 3600 # as long as a hosted job may take: sessions are not renewed
}

resource "aws_iam_role_policy" "pipeline" {
  for_each = local.trust
  name     = each.key
  role     = aws_iam_role.pipeline[each.key].name
  policy   = local.policies[each.key]
}

# Endpoints and training jobs run as this.
resource "aws_iam_role" "execution" {
  name        = local.role[1]
  path        = local.role[0]
  description = "Endpoints and jobs in ${var.place.environment}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "sagemaker.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.place.account } }
    }]
  })
}

resource "aws_iam_role_policy" "execution" {
  name   = "run"
  role   = aws_iam_role.execution.name
  policy = local.policies.execution
}

# People come in by IAM Identity Center, and take up a persona for an hour.
resource "aws_iam_role" "people" {
  for_each    = local.people
  name        = "${var.place.name}-${replace(each.key, "_", "-")}"
  description = "Persona ${each.key} in ${var.place.environment}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "${local.iam}:root" }
      Action    = "sts:AssumeRole"
      Condition = merge(
        { ArnLike = { "aws:PrincipalArn" = [for group in each.value : "${local.iam}:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_${group}_*"] } },
        each.key == "elevated" ? { DateLessThan = { "aws:CurrentTime" = var.elevated_until } } : {},
      )
    }]
  })
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "people" {
  for_each = local.people
  name     = each.key
  role     = aws_iam_role.people[each.key].name
  policy   = local.policies[each.key]
}
