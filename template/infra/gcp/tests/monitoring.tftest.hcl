# What goes wrong is told, by the endpoint's own figures.

mock_provider "google" {}

variables {
  project  = "example-prod"
  endpoint = { id = "flights-prod" }
  bucket   = "flights-prod"
  emails   = ["team@example.com"]
  alerts   = { latency_ms = 500, silence = 3600 }
  labels   = { environment = "prod" }
}

run "alerts" {
  module {
    source = "./modules/monitoring"
  }
  assert {
    condition     = keys(google_monitoring_alert_policy.threshold) == ["errors", "latency", "quota"]
    error_message = "An alert is missing."
  }
  assert {
    condition = alltrue([
      for policy in concat(values(google_monitoring_alert_policy.threshold), google_monitoring_alert_policy.silence, [google_monitoring_alert_policy.jobs]) :
      length(policy.notification_channels) == 1 && policy.user_labels == tomap({ environment = "prod" })
    ])
    error_message = "An alert tells nobody, or has no labels."
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.threshold["errors"].conditions[0].condition_threshold[0].filter, "resource.labels.endpoint_id=\"flights-prod\"")
    error_message = "Another endpoint is watched."
  }
  assert {
    condition     = try(strcontains(google_monitoring_alert_policy.threshold["errors"].conditions[0].condition_threshold[0].denominator_filter, "/response_count\" AND"), false)
    error_message = "Errors are counted, not their share."
  }
  assert {
    condition     = google_monitoring_alert_policy.silence[0].conditions[0].condition_absent[0].duration == "3600s"
    error_message = "Silence is told after another time."
  }
}

run "no_callers_yet" {
  module {
    source = "./modules/monitoring"
  }
  variables {
    alerts = { latency_ms = 500, silence = 0 }
  }
  assert {
    condition     = length(google_monitoring_alert_policy.silence) == 0
    error_message = "An environment without callers is never silent."
  }
}

run "dashboard" {
  module {
    source = "./modules/monitoring"
  }
  assert {
    condition = [for tile in jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles : tile.widget.title] == [
      "Answers by status", "Latency, p99 (ms)", "Replicas, which cost by the hour", "Training jobs, use of processors",
      "Quota in use", "Bytes stored, old versions included", "Jobs that failed", "Cost",
    ]
    error_message = "A panel is missing."
  }
  assert {
    condition     = length(distinct([for tile in jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles : "${tile.xPos} ${tile.yPos}"])) == 8
    error_message = "Two panels lie on each other."
  }
}

run "longer_than_google_waits" {
  command = plan
  module {
    source = "./modules/monitoring"
  }
  variables {
    alerts = { latency_ms = 500, silence = 86400 }
  }
  expect_failures = [var.alerts]
}
