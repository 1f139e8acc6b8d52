variables {
  namespace = "example-dev"
  name      = "example-dev"
  budget    = { amount = 400, currency = "EUR", emails = ["team@example.com"] }
  sizes     = { cpu = 8, memory = 32, gpus = 0, pods = 50 }
  prices    = { cpu = 0.04, memory = 0.005, gpu = 0 }
}

run "alarms" {
  command = plan
  module { source = "./modules/budget" }
  assert {
    condition     = [for rule in output.rules : rule.alert if contains(keys(rule), "alert")] == ["Budget50", "Budget80", "Budget100"]
    error_message = "A budget alarms at 50, 80 and 100 %."
  }
}

run "quota_above_the_budget" {
  command = plan
  module { source = "./modules/budget" }
  variables {
    sizes = { cpu = 80, memory = 320, gpus = 0, pods = 50 }
  }
  expect_failures = [output.ceiling]
}
