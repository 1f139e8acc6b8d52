mock_provider "aws" { source = "./tests/mocks" }

variables {
  place = { name = "example-prod", project = "example", environment = "prod", account = "000000000000", region = "eu-west-1" }
  names = {
    role          = "arn:aws:iam::000000000000:role/team/example-prod"
    bucket        = "example-prod"
    image         = "000000000000.dkr.ecr.eu-west-1.amazonaws.com/example"
    job_image     = "000000000000.dkr.ecr.eu-west-1.amazonaws.com/example-job:1"
    package_group = "example"
  }
  home           = "example-dev"
  writes         = { bucket = "example-prod", prefix = "dvc" }
  reads          = { bucket = "example-dev", prefix = "dvc" }
  open           = false
  repository     = { path = "team/example", owner_id = "1", id = "2", issuer = "", subjects = {} }
  ci             = "github"
  makes_issuer   = true
  elevated_until = ""
  people = {
    data_scientist  = ["Scientists"]
    ml_engineer     = ["Engineers"]
    model_validator = ["Validators"]
    operator        = ["Operators"]
    auditor         = ["Auditors"]
  }
}

run "github_by_numbers" {
  module { source = "./modules/identity" }

  assert {
    condition     = jsondecode(aws_iam_role.pipeline["ci"].assume_role_policy).Statement[0].Condition.StringLike["token.actions.githubusercontent.com:sub"] == ["repo:team@1/example@2:environment:prod"]
    error_message = "The pipeline's role trusts others than this repository and this environment."
  }
  assert {
    condition     = jsondecode(aws_iam_role.pipeline["ci"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    error_message = "Tokens for another audience are taken."
  }
  assert {
    condition     = sort(jsondecode(aws_iam_role.pipeline["plan"].assume_role_policy).Statement[0].Condition.StringLike["token.actions.githubusercontent.com:sub"]) == tolist(["repo:team@1/example@2:environment:dev", "repo:team@1/example@2:environment:prod"])
    error_message = "A plan comes from this environment, or from the one that asks nobody."
  }
  assert {
    condition     = jsondecode(aws_iam_role.pipeline["apply"].assume_role_policy) == jsondecode(aws_iam_role.pipeline["ci"].assume_role_policy)
    error_message = "An apply comes from this environment only."
  }
  assert {
    condition     = output.execution == "arn:aws:iam::000000000000:role/team/example-prod"
    error_message = "Endpoints run as another role than the file says: ${output.execution}."
  }
}

run "github_by_name" {
  module { source = "./modules/identity" }
  variables { repository = { path = "team/example", owner_id = "", id = "", issuer = "", subjects = {} } }

  assert {
    condition     = strcontains(aws_iam_role.pipeline["ci"].assume_role_policy, "\"repo:team/example:environment:prod\"")
    error_message = "An older repository, whose tokens have no numbers, isn't trusted."
  }
}

run "gitlab_by_branch_and_tier" {
  module { source = "./modules/identity" }
  variables { ci = "gitlab" }

  assert {
    condition     = jsondecode(aws_iam_role.pipeline["ci"].assume_role_policy).Statement[0].Condition.StringLike["gitlab.com:sub"] == ["project_path:team/example:ref_type:branch:ref:main:deployment_tier:production"]
    error_message = "Production trusts another branch than main, or another tier."
  }
}

run "azure_devops_by_connection" {
  module { source = "./modules/identity" }
  variables { ci = "azure-devops" }

  assert {
    condition     = jsondecode(aws_iam_role.pipeline["ci"].assume_role_policy).Statement[0].Condition.StringLike["vstoken.dev.azure.com/1:sub"] == ["sc://team/example/example-prod"]
    error_message = "Another service connection is trusted."
  }
}

run "an_issuer_of_ones_own" {
  module { source = "./modules/identity" }
  variables {
    ci         = "gitlab"
    repository = { path = "team/example", owner_id = "", id = "", issuer = "https://git.example.com", subjects = { prod = "example" } }
  }

  assert {
    condition = jsondecode(aws_iam_role.pipeline["ci"].assume_role_policy).Statement[0].Condition == {
      StringEquals = { "git.example.com:aud" = "sts.amazonaws.com" }
      StringLike   = { "git.example.com:sub" = ["example"] }
    }
    error_message = "The platform's own issuer is trusted, or the usual subject."
  }
}

run "rights" {
  module { source = "./modules/identity" }

  assert {
    condition = alltrue([
      for policy in concat([aws_iam_role_policy.execution.policy], values(aws_iam_role_policy.pipeline)[*].policy, values(aws_iam_role_policy.people)[*].policy) :
      length(policy) <= 10240
    ])
    error_message = "A role's policy is longer than the 10240 characters that IAM takes."
  }
  assert {
    condition = !anytrue([
      for policy in concat([aws_iam_role_policy.execution.policy], values(aws_iam_role_policy.pipeline)[*].policy, values(aws_iam_role_policy.people)[*].policy) :
      can(regex("\"[a-z0-9-]*:?\\*\"", join(",", flatten([for statement in jsondecode(policy).Statement : [for action in flatten([statement.Action]) : "\"${action}\""]]))))
    ])
    error_message = "A role may do whatever there is: an action is a wildcard."
  }
  assert {
    condition = !anytrue([
      for policy in values(aws_iam_role_policy.people)[*].policy :
      can(regex("\"(s3:Put|s3:Delete|sagemaker:(Create|Update|Delete|Add|Stop|Invoke)|iam:PassRole|ecr:Put)", policy))
    ])
    error_message = "People write to production, which only its pipeline does."
  }
  assert {
    condition     = !can(regex("s3:(Get|Put)|kms:", aws_iam_role_policy.people["operator"].policy)) && !can(regex("s3:|kms:", aws_iam_role_policy.people["data_scientist"].policy))
    error_message = "Somebody who looks at production reads its data."
  }
  assert {
    condition     = !strcontains(join("", values(aws_iam_role_policy.pipeline)[*].policy), "iam:Put") && !strcontains(aws_iam_role_policy.pipeline["apply"].policy, "PassRole")
    error_message = "A pipeline raises its own rights."
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.execution.policy, "sagemaker:Create") && !strcontains(aws_iam_role_policy.execution.policy, "iam:")
    error_message = "What runs in an endpoint starts others."
  }
}

run "dev_does_not_write_prod" {
  module { source = "./modules/identity" }
  variables {
    place = { name = "example-dev", project = "example", environment = "dev", account = "000000000000", region = "eu-west-1" }
    open  = true
    names = {
      role  = "arn:aws:iam::000000000000:role/example-dev", bucket = "example-dev",
      image = "000000000000.dkr.ecr.eu-west-1.amazonaws.com/example", job_image = "", package_group = "example"
    }
    writes = { bucket = "example-dev", prefix = "dvc" }
  }

  assert {
    condition = !anytrue([
      for policy in concat([aws_iam_role_policy.execution.policy], values(aws_iam_role_policy.pipeline)[*].policy, values(aws_iam_role_policy.people)[*].policy) :
      strcontains(policy, "example-prod")
    ])
    error_message = "An identity of dev has a right in prod."
  }
  assert {
    condition     = strcontains(aws_iam_role_policy.people["data_scientist"].policy, "sagemaker:CreateTrainingJob") && !strcontains(aws_iam_role_policy.people["data_scientist"].policy, "sagemaker:CreateEndpoint\"")
    error_message = "In dev a data scientist trains, and releases nothing."
  }
}

run "elevation_ends" {
  module { source = "./modules/identity" }
  variables { elevated_until = "2026-12-24T18:00:00Z" }

  assert {
    condition     = jsondecode(aws_iam_role.people["elevated"].assume_role_policy).Statement[0].Condition.DateLessThan["aws:CurrentTime"] == "2026-12-24T18:00:00Z"
    error_message = "An elevation has no end."
  }
  assert {
    condition     = alltrue([for role in aws_iam_role.people : role.max_session_duration == 3600])
    error_message = "A persona is taken up for longer than an hour."
  }
  assert {
    condition     = contains(output.writers, "arn:aws:iam::000000000000:role/example-prod-elevated")
    error_message = "The bucket refuses who is elevated."
  }
}
