mock_provider "aws" {}

variables {
  environment = "dev"
  project     = "example"
  owner       = "team"
  cost_centre = "1"
  data_class  = "internal"
  compliance  = "none"
  protect     = true
}

run "kept_closed_and_encrypted" {
  command = plan # what is protected can't be destroyed, by a test neither

  assert {
    condition     = output.bucket == "${yamldecode(file("../../../environments/dev.yaml")).cloud.bucket}-state"
    error_message = "The state lies elsewhere than `make infra-plan` looks for it."
  }
  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.state.force_destroy && terraform_data.protect.input.on
    error_message = "A state that is overwritten or destroyed is gone."
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.state.block_public_acls, aws_s3_bucket_public_access_block.state.block_public_policy,
      aws_s3_bucket_public_access_block.state.ignore_public_acls, aws_s3_bucket_public_access_block.state.restrict_public_buckets,
    ])
    error_message = "The bucket can be opened to everybody."
  }
}

run "given_up" {
  variables { protect = false }

  assert {
    condition     = aws_s3_bucket.state.force_destroy
    error_message = "What is no longer protected can't be destroyed."
  }
}
