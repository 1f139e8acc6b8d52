# Somebody is told at 50, 80 and 100 % of this project's costs.

mock_provider "google" {}

variables {
  name            = "flights-prod"
  project_number  = "123"
  billing_account = "000000-000000-000000"
  budget          = { amount = 1000, currency = "EUR" }
  channels        = ["projects/example-prod/notificationChannels/1"]
}

run "thresholds" {
  module {
    source = "./modules/budget"
  }
  assert {
    condition     = [for rule in google_billing_budget.this.threshold_rules : rule.threshold_percent] == [0.5, 0.8, 1, 1]
    error_message = "Nobody is told at 50, 80 or 100 %."
  }
  assert {
    condition     = google_billing_budget.this.amount[0].specified_amount[0].units == "1000" && tolist(google_billing_budget.this.budget_filter[0].projects) == tolist(["projects/123"])
    error_message = "Other costs, or another amount."
  }
  assert {
    condition     = length(google_billing_budget.this.all_updates_rule[0].monitoring_notification_channels) == 1
    error_message = "Nobody is told."
  }
}

run "nobody_pays" {
  command = plan
  module {
    source = "./modules/budget"
  }
  variables {
    billing_account = ""
  }
  expect_failures = [var.billing_account]
}
