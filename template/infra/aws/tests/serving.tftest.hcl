mock_provider "aws" { source = "./tests/mocks" }

variables {
  place     = { name = "example-prod", account = "000000000000", region = "eu-west-1" }
  retention = 365
  key       = "arn:aws:kms:eu-west-1:000000000000:key/11111111-2222-3333-4444-555555555555"
  callers   = []
}

run "logs_are_kept_and_encrypted" {
  module { source = "./modules/serving" }

  assert {
    condition     = aws_cloudwatch_log_group.endpoint.name == "/aws/sagemaker/Endpoints/example-prod"
    error_message = "SageMaker writes the endpoint's logs elsewhere."
  }
  assert {
    condition     = aws_cloudwatch_log_group.endpoint.retention_in_days == 365 && aws_cloudwatch_log_group.endpoint.kms_key_id == var.key
    error_message = "Logs are kept for ever, or with another key."
  }
}

run "nobody_calls_unless_named" {
  module { source = "./modules/serving" }

  assert {
    condition     = output.caller == null
    error_message = "Somebody may call whom nobody named."
  }
}

run "callers_call_and_no_more" {
  module { source = "./modules/serving" }
  variables { callers = ["arn:aws:iam::111111111111:role/shop"] }

  assert {
    condition     = jsondecode(aws_iam_role.caller[0].assume_role_policy).Statement[0].Principal.AWS == ["arn:aws:iam::111111111111:role/shop"]
    error_message = "Others than those named may call."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.caller[0].policy).Statement == [{ Effect = "Allow", Action = ["sagemaker:InvokeEndpoint"], Resource = ["arn:aws:sagemaker:eu-west-1:000000000000:endpoint/example-prod"] }]
    error_message = "A caller does more than call this endpoint."
  }
}
