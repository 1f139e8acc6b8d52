mock_provider "aws" {
  source = "./tests/mocks"

  override_resource {
    target = aws_sns_topic.told["events"]
    values = { arn = "arn:aws:sns:eu-west-1:000000000000:events" }
  }
}

variables {
  place   = { name = "example-prod", project = "example", environment = "prod", account = "000000000000", region = "eu-west-1" }
  bucket  = "example-prod"
  machine = "ml.m5.large"
  group   = "example"
  key     = "arn:aws:kms:eu-west-1:000000000000:key/11111111-2222-3333-4444-555555555555"
  alerts  = { latency_ms = 200, errors = 1, silence = 900, drift = 0.2 }
  emails  = ["ml-team@example.com"]
}

run "somebody_is_told" {
  module { source = "./modules/monitoring" }

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.alarms)) == toset(["errors", "latency", "memory", "silence", "drift", "quota"])
    error_message = "An alarm is missing."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.alarms : length(alarm.alarm_actions) > 0 && length(alarm.alarm_description) > 0])
    error_message = "An alarm tells nobody, or not what to do."
  }
  assert {
    condition = alltrue([
      for name in ["errors", "latency", "memory", "silence"] : toset(flatten([
        for query in aws_cloudwatch_metric_alarm.alarms[name].metric_query : [for metric in query.metric : metric.dimensions.VariantName]
      ])) == toset(["blue", "green"])
    ])
    error_message = "An alarm doesn't watch both slots."
  }
  assert {
    condition     = [for address in aws_sns_topic_subscription.people : address.endpoint] == ["ml-team@example.com"] && alltrue([for topic in aws_sns_topic.told : topic.kms_master_key_id == var.key])
    error_message = "Nobody is subscribed, or messages aren't encrypted."
  }
}

run "events" {
  module { source = "./modules/monitoring" }

  assert {
    condition     = toset(keys(aws_cloudwatch_event_rule.events)) == toset(["model-registered", "model-deployed", "run-completed", "run-status-changed", "run-failed"])
    error_message = "An event is missing; the fifth, drift, is an alarm's."
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.alarms["drift"].alarm_actions) == 2
    error_message = "Drift is no event."
  }
}

run "dashboard" {
  module { source = "./modules/monitoring" }

  assert {
    condition = alltrue([
      for word in ["health", "Latency", "Drift", "Training jobs", "Quota", "Storage", "Cost"] :
      anytrue([for widget in jsondecode(aws_cloudwatch_dashboard.environment.dashboard_body).widgets : startswith(widget.properties.title, word) || strcontains(widget.properties.title, word)])
    ])
    error_message = "A panel is missing."
  }
}

run "silence_is_asked_for" {
  module { source = "./modules/monitoring" }
  variables { alerts = { latency_ms = 200, errors = 1, silence = 0, drift = 0.2 } }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.alarms), "silence")
    error_message = "Where nobody calls, that nobody calls is told."
  }
}
