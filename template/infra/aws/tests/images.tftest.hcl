mock_provider "aws" { source = "./tests/mocks" }

variables {
  images   = { image = "example", job_image = "example-job" }
  feed     = "example"
  key      = "arn:aws:kms:eu-west-1:000000000000:key/11111111-2222-3333-4444-555555555555"
  accounts = []
  protect  = true
}

run "a_version_is_built_once" {
  module { source = "./modules/images" }

  assert {
    condition     = aws_ecr_repository.images["image"].image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.images["job_image"].image_tag_mutability == "MUTABLE"
    error_message = "A version's image can be replaced, or a job's can't."
  }
  assert {
    condition     = alltrue([for one in aws_ecr_repository.images : one.image_scanning_configuration[0].scan_on_push && one.encryption_configuration[0].encryption_type == "KMS" && !one.force_delete])
    error_message = "Images aren't scanned, encrypted or kept."
  }
  assert {
    condition     = length(aws_ecr_repository_policy.peers) == 0 && output.feed == "example"
    error_message = "Another account pulls without having been named, or there is no feed."
  }
}

run "others_pull" {
  module { source = "./modules/images" }
  variables {
    accounts = ["111111111111"]
    feed     = ""
  }

  assert {
    condition     = alltrue([for one in aws_ecr_repository_policy.peers : !strcontains(one.policy, "ecr:Put") && strcontains(one.policy, "arn:aws:iam::111111111111:root")])
    error_message = "Another account pushes, or doesn't pull."
  }
  assert {
    condition     = output.feed == null
    error_message = "A second feed of one account."
  }
}
