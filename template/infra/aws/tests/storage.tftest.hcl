mock_provider "aws" { source = "./tests/mocks" }

variables {
  bucket   = "example-prod"
  place    = { project = "example", account = "000000000000", region = "eu-west-1" }
  writers  = ["arn:aws:iam::000000000000:role/example-prod"]
  readers  = ["arn:aws:iam::111111111111:role/example-dev*"]
  guests   = []
  accounts = []
  versions = 90
  protect  = true
}

run "kept_closed_and_encrypted" {
  module { source = "./modules/storage" }

  assert {
    condition     = aws_s3_bucket_versioning.data.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.data.force_destroy
    error_message = "What is overwritten or destroyed is gone."
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.data.block_public_acls, aws_s3_bucket_public_access_block.data.block_public_policy,
      aws_s3_bucket_public_access_block.data.ignore_public_acls, aws_s3_bucket_public_access_block.data.restrict_public_buckets,
    ])
    error_message = "The bucket can be opened to everybody."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.data.rule).apply_server_side_encryption_by_default).kms_master_key_id == aws_kms_key.main.arn && aws_kms_key.main.enable_key_rotation
    error_message = "The bucket isn't encrypted with its own key, or that is never changed."
  }
  assert {
    condition     = { for statement in jsondecode(aws_s3_bucket_policy.data.policy).Statement : statement.Sid => statement.Effect } == { TlsOnly = "Deny", OnlyOwnIdentitiesWrite = "Deny" }
    error_message = "Of one account's environments the bucket's policy allows nothing: it refuses what isn't TLS, and foreign writers."
  }
}

run "other_accounts_read_part" {
  module { source = "./modules/storage" }
  variables {
    accounts = ["111111111111"]
    guests   = ["arn:aws:iam::111111111111:role/example-dev-ci"]
  }

  assert {
    condition = {
      for statement in jsondecode(aws_s3_bucket_policy.data.policy).Statement : one(statement.Action) => [statement.Principal.AWS, statement.Condition.ArnLike["aws:PrincipalArn"]] if statement.Effect == "Allow"
      } == {
      "s3:GetObject"  = [["arn:aws:iam::111111111111:root"], ["arn:aws:iam::111111111111:role/example-dev*"]]
      "s3:ListBucket" = [["arn:aws:iam::111111111111:root"], ["arn:aws:iam::111111111111:role/example-dev*"]]
      "s3:PutObject"  = [["arn:aws:iam::111111111111:root"], ["arn:aws:iam::111111111111:role/example-dev-ci"]]
    }
    error_message = "Another account does more than the project's own roles there need."
  }
  assert {
    condition     = !anytrue([for resource in jsondecode(aws_s3_bucket_policy.data.policy).Statement[3].Resource : can(regex("/dvc/|registry/\\*$", resource))])
    error_message = "Another account's pipeline writes more than facts and the replica."
  }
}

run "given_up" {
  module { source = "./modules/storage" }
  variables { protect = false }

  assert {
    condition     = aws_s3_bucket.data.force_destroy && !strcontains(aws_s3_bucket_policy.data.policy, "OnlyOwnIdentitiesWrite")
    error_message = "What is no longer protected can't be destroyed."
  }
}
