# Alerts, events and the dashboard. An endpoint has two slots; each number is of both.
locals {
  slots  = ["blue", "green"]
  period = 300 # seconds that one number covers
  # Queries of an alarm, by their ids: a metric of each slot of the endpoint.
  slot = {
    for query in [
      ["invocations", "AWS/SageMaker", "Invocations", "Sum"],
      ["errors", "AWS/SageMaker", "Invocation5XXErrors", "Sum"],
      ["latency", "AWS/SageMaker", "ModelLatency", "p99"], # microseconds
      ["memory", "/aws/sagemaker/Endpoints", "MemoryUtilization", "Maximum"],
      ] : query[0] => {
      for slot in local.slots : "${query[0]}_${slot}" => {
        namespace  = query[1], metric = query[2], stat = query[3]
        dimensions = { EndpointName = var.place.name, VariantName = slot }
      }
    }
  }
  both  = { for name, queries in local.slot : name => "[${join(", ", keys(queries))}]" }
  drift = { namespace = "mlops", metric = "drift", stat = "Maximum", dimensions = { project = var.place.project, environment = var.place.environment } }
  usage = {
    namespace  = "AWS/Usage", metric = "ResourceCount", stat = "Maximum"
    dimensions = { Service = "SageMaker", Type = "Resource", Resource = "endpoint/${var.machine}", Class = "None" }
  }
  more = "GreaterThanThreshold"

  alarms = {
    for name, alarm in {
      errors = {
        says    = "More than ${var.alerts.errors} % of answers are 5xx: `make rollback ENV=${var.place.environment}`, then its log."
        queries = merge(local.slot.errors, local.slot.invocations), when = local.more, missing = "notBreaching"
        value   = "100 * SUM(${local.both.errors}) / SUM(${local.both.invocations})", threshold = var.alerts.errors
      }
      latency = {
        says    = "The slowest percent takes longer than ${var.alerts.latency_ms} ms: more instances, or a rollback."
        queries = local.slot.latency, when = local.more, missing = "notBreaching"
        value   = "MAX(${local.both.latency}) / 1000", threshold = var.alerts.latency_ms
      }
      memory = {
        says    = "The servers' memory is nearly full: a larger cloud.machine."
        queries = local.slot.memory, when = local.more, missing = "notBreaching"
        value   = "MAX(${local.both.memory})", threshold = 90
      }
      silence = {
        says    = "Nobody has called for ${var.alerts.silence} seconds: is the caller, or the way to the endpoint, broken?"
        queries = local.slot.invocations, when = "LessThanThreshold", missing = "breaching"
        value   = "SUM(${local.both.invocations})", threshold = 1
      }
      drift = {
        says    = "The requests' data has drifted from what the model was trained on: retrain."
        queries = { drift = local.drift }, when = local.more, missing = "notBreaching"
        value   = "MAX([drift])", threshold = var.alerts.drift
      }
      quota = {
        says    = "Four fifths of the account's quota of ${var.machine} for endpoints are in use: ask for more in Service Quotas."
        queries = { usage = local.usage }, when = local.more, missing = "notBreaching"
        value   = "usage / SERVICE_QUOTA(usage) * 100", threshold = 80
      }
    } : name => alarm if name != "silence" || var.alerts.silence > 0
  }

  # What others may act on; a failed job is told to people as well.
  jobs = { TrainingJobName = [{ prefix = substr(var.place.project, 0, 20) }] } # as the code names them
  events = {
    model-registered   = { type = "SageMaker Model Package State Change", detail = { ModelPackageGroupName = [var.group] } }
    model-deployed     = { type = "SageMaker Endpoint State Change", detail = { EndpointName = [var.place.name], EndpointStatus = ["IN_SERVICE"] } }
    run-completed      = { type = "SageMaker Training Job State Change", detail = merge(local.jobs, { TrainingJobStatus = ["Completed"] }) }
    run-status-changed = { type = "SageMaker Training Job State Change", detail = local.jobs }
    run-failed         = { type = "SageMaker Training Job State Change", detail = merge(local.jobs, { TrainingJobStatus = ["Failed"] }) }
  }
}

resource "aws_sns_topic" "told" {
  for_each          = toset(["alerts", "events"])
  name              = "${var.place.name}-${each.key}"
  kms_master_key_id = var.key
}

resource "aws_sns_topic_policy" "told" {
  for_each = aws_sns_topic.told
  arn      = each.value.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TheAccountsOwnAlarmsAndEvents"
      Effect    = "Allow"
      Principal = { Service = ["cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"] }
      Action    = ["sns:Publish"]
      Resource  = [each.value.arn]
      Condition = { StringEquals = { "aws:SourceAccount" = var.place.account } }
    }]
  })
}

# Each address gets a mail that it must confirm.
resource "aws_sns_topic_subscription" "people" {
  for_each  = toset(var.emails)
  topic_arn = aws_sns_topic.told["alerts"].arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_cloudwatch_metric_alarm" "alarms" {
  for_each            = local.alarms
  alarm_name          = "${var.place.name}-${each.key}"
  alarm_description   = each.value.says
  comparison_operator = each.value.when
  threshold           = each.value.threshold
  evaluation_periods  = each.key == "silence" ? ceil(var.alerts.silence / local.period) : 3
  treat_missing_data  = each.value.missing
  # Drift is an event too: it may start a retraining.
  alarm_actions = [for name in each.key == "drift" ? ["alerts", "events"] : ["alerts"] : aws_sns_topic.told[name].arn]
  ok_actions    = [aws_sns_topic.told["alerts"].arn]

  metric_query {
    id          = "value"
    expression  = each.value.value
    label       = each.key
    return_data = true
  }
  dynamic "metric_query" {
    for_each = each.value.queries
    content {
      id = metric_query.key
      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.stat
        period      = local.period
      }
    }
  }
}

resource "aws_cloudwatch_event_rule" "events" {
  for_each      = local.events
  name          = "${var.place.name}-${each.key}"
  event_pattern = jsonencode({ source = ["aws.sagemaker"], detail-type = [each.value.type], detail = each.value.detail })
}

resource "aws_cloudwatch_event_target" "events" {
  for_each = local.events
  rule     = aws_cloudwatch_event_rule.events[each.key].name
  arn      = aws_sns_topic.told[each.key == "run-failed" ? "alerts" : "events"].arn
}

locals {
  row = { for name, queries in local.slot : name => [for query in queries : [query.namespace, query.metric, "EndpointName", var.place.name, "VariantName", query.dimensions.VariantName]] }
  panels = [
    { title = "Endpoint health: answers and 5xx", stat = "Sum", metrics = concat(local.row.invocations, local.row.errors) },
    { title = "Latency (p99, microseconds)", stat = "p99", metrics = local.row.latency },
    { title = "Saturation: memory (%)", stat = "Maximum", metrics = local.row.memory },
    { title = "Drift of the input data", stat = "Maximum", metrics = [["mlops", "drift", "project", var.place.project, "environment", var.place.environment]] },
    { title = "Training jobs: state changes, failures", stat = "Sum", metrics = [for name in ["run-status-changed", "run-failed"] : ["AWS/Events", "MatchedEvents", "RuleName", "${var.place.name}-${name}"]] },
    { title = "Quota: ${var.machine} in use", stat = "Maximum", metrics = [["AWS/Usage", "ResourceCount", "Service", "SageMaker", "Type", "Resource", "Resource", "endpoint/${var.machine}", "Class", "None"]] },
    { title = "Storage (bytes)", stat = "Average", metrics = [["AWS/S3", "BucketSizeBytes", "BucketName", var.bucket, "StorageType", "StandardStorage"]] },
    # Only there are costs counted, of the account, where its owner lets them be.
    { title = "Cost of the account this month (USD)", stat = "Maximum", region = "us-east-1", metrics = [["AWS/Billing", "EstimatedCharges", "Currency", "USD"]] },
  ]
}

resource "aws_cloudwatch_dashboard" "environment" {
  dashboard_name = var.place.name
  dashboard_body = jsonencode({
    widgets = [
      for index, panel in local.panels : {
        type = "metric", width = 12, height = 6, x = index % 2 * 12, y = floor(index / 2) * 6
        properties = {
          title  = panel.title, view = "timeSeries", period = local.period, stat = panel.stat
          region = try(panel.region, var.place.region), metrics = panel.metrics
        }
      }
    ]
  })
}
