mock_provider "aws" { source = "./tests/mocks" }

variables {
  place  = { name = "example-prod", environment = "prod", account = "000000000000" }
  budget = { amount = 500, currency = "USD", emails = ["ml-team@example.com"] }
  topic  = "arn:aws:sns:eu-west-1:000000000000:topic"
}

run "an_account_of_its_own" {
  module { source = "./modules/budget" }
  variables { shared = false }

  assert {
    condition     = toset([for one in aws_budgets_budget.month.notification : one.threshold if one.notification_type == "ACTUAL"]) == toset([50, 80, 100])
    error_message = "Nobody hears at 50, 80 and 100 %."
  }
  assert {
    condition     = alltrue([for one in aws_budgets_budget.month.notification : contains(one.subscriber_email_addresses, "ml-team@example.com")])
    error_message = "A notification tells nobody."
  }
  assert {
    condition     = [for filter in aws_budgets_budget.month.cost_filter : filter.name] == ["LinkedAccount"]
    error_message = "Untagged costs of the environment's own account aren't counted."
  }
}

run "a_shared_account" {
  module { source = "./modules/budget" }
  variables { shared = true }

  assert {
    condition     = contains(flatten([for filter in aws_budgets_budget.month.cost_filter : filter.values]), "user:environment$prod")
    error_message = "Other environments' costs are counted too."
  }
}
