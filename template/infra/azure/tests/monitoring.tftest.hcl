# Somebody is told, and sees why.
mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  place = {
    group    = "example-prod"
    group_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/example-prod"
    location = "westeurope"
    name     = "example-prod"
    tags     = { project = "example", environment = "prod", owner = "o", cost-centre = "c", data-class = "d", compliance = "none" }
  }
  retention    = { versions = 90, scratch = 30, logs = 30 }
  alerts       = { errors = 1, latency_ms = 500, quiet = "PT1H", quota = 80 }
  emails       = ["team@example.com"]
  budget_id    = "/budget"
  ml_workspace = "/workspace"
  endpoint     = "example-prod"
  endpoint_ids = { example-prod = "/workspace/onlineEndpoints/example-prod" }
  storage_id   = "/storage"
}

run "alerts" {
  module {
    source = "./modules/monitoring"
  }
  assert {
    condition     = toset(keys(azurerm_monitor_metric_alert.this)) == toset(["errors", "latency", "job-failures", "quota"])
    error_message = jsonencode(keys(azurerm_monitor_metric_alert.this))
  }
  assert {
    condition     = length(azurerm_monitor_scheduled_query_rules_alert_v2.quiet) == 1
    error_message = "silence is not heard"
  }
  assert {
    condition     = alltrue([for one in azurerm_monitor_metric_alert.this : length(one.action) == 1])
    error_message = "an alert that tells nobody"
  }
}

run "before_the_first_release" {
  module {
    source = "./modules/monitoring"
  }
  variables {
    endpoint_ids = {}
  }
  assert {
    condition     = toset(keys(azurerm_monitor_metric_alert.this)) == toset(["job-failures", "quota"])
    error_message = jsonencode(keys(azurerm_monitor_metric_alert.this))
  }
}

run "events" {
  module {
    source = "./modules/monitoring"
  }
  assert {
    condition = toset(azurerm_eventgrid_system_topic_event_subscription.this.included_event_types) == toset([
      for name in ["ModelRegistered", "ModelDeployed", "RunCompleted", "RunStatusChanged", "DatasetDriftDetected"] : "Microsoft.MachineLearningServices.${name}"
    ])
    error_message = jsonencode(azurerm_eventgrid_system_topic_event_subscription.this.included_event_types)
  }
}

run "dashboard" {
  module {
    source = "./modules/monitoring"
  }
  assert {
    condition = alltrue([
      for word in ["Endpoint", "latency", "Drift", "Cost", "Quota", "Training", "Compute", "Storage"] :
      anytrue([for item in jsondecode(azurerm_application_insights_workbook.this.data_json).items : strcontains(item.name, word)])
    ])
    error_message = "a panel is missing"
  }
}
