mock_provider "aws" { source = "./tests/mocks" }

variables {
  place    = { account = "000000000000", region = "eu-west-1" }
  accounts = ["111111111111"]
}

run "a_group_that_others_read" {
  module { source = "./modules/workspace" }
  variables { group = "example" }

  assert {
    condition     = output.group == "example" && !strcontains(aws_sagemaker_model_package_group_policy.peers[0].resource_policy, "CreateModelPackage")
    error_message = "There is no group of this name, or another account registers in it."
  }
}

run "anothers_group" {
  module { source = "./modules/workspace" }
  variables { group = "" }

  assert {
    condition     = output.group == null && length(aws_sagemaker_model_package_group_policy.peers) == 0
    error_message = "A group is made that is another's."
  }
}
