locals {
  served    = "resource.type=\"aiplatform.googleapis.com/Endpoint\" AND resource.labels.endpoint_id=\"${var.endpoint.id}\""
  responses = "metric.type=\"aiplatform.googleapis.com/prediction/online/response_count\" AND ${local.served}"
  failures  = "${local.responses} AND metric.labels.response_code=starts_with(\"5\")"
  latency   = "metric.type=\"aiplatform.googleapis.com/prediction/online/prediction_latencies\" AND metric.labels.latency_type=\"total\" AND ${local.served}"
  replicas  = "metric.type=\"aiplatform.googleapis.com/prediction/online/replicas\" AND ${local.served}"
  exceeded  = "metric.type=\"serviceruntime.googleapis.com/quota/exceeded\" AND resource.type=\"consumer_quota\" AND resource.labels.service=\"aiplatform.googleapis.com\""
  allocated = "metric.type=\"serviceruntime.googleapis.com/quota/allocation/usage\" AND resource.type=\"consumer_quota\" AND resource.labels.service=\"aiplatform.googleapis.com\""
  jobs      = "metric.type=\"ml.googleapis.com/training/cpu/utilization\" AND resource.type=\"cloudml_job\""
  stored    = "metric.type=\"storage.googleapis.com/storage/v2/total_bytes\" AND resource.type=\"gcs_bucket\" AND resource.labels.bucket_name=\"${var.bucket}\""
  broken    = "resource.type=\"ml_job\" AND resource.labels.task_name=\"service\" AND severity>=ERROR"

  thresholds = {
    errors  = { filter = local.failures, of = local.responses, aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", above = 0.01, why = "More than 1 % of answers are 5xx. `make status`, then `make rollback`." }
    latency = { filter = local.latency, of = null, aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", above = var.alerts.latency_ms, why = "The p99 is above ${var.alerts.latency_ms} ms." }
    quota   = { filter = local.exceeded, of = null, aligner = "ALIGN_COUNT_TRUE", reducer = "REDUCE_SUM", above = 0, why = "Vertex AI refuses for want of quota: ask for more, or take less." }
  }

  panels = [
    { title = "Answers by status", filter = local.responses, aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.label.response_code"] },
    { title = "Latency, p99 (ms)", filter = local.latency, aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["metric.label.deployed_model_id"] },
    { title = "Replicas, which cost by the hour", filter = local.replicas, aligner = "ALIGN_MEAN", reducer = "REDUCE_SUM", by = ["metric.label.deployed_model_id"] },
    { title = "Training jobs, use of processors", filter = local.jobs, aligner = "ALIGN_MEAN", reducer = "REDUCE_MEAN", by = ["resource.label.job_id"] },
    { title = "Quota in use", filter = local.allocated, aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = ["metric.label.quota_metric"] },
    { title = "Bytes stored, old versions included", filter = local.stored, aligner = "ALIGN_MEAN", reducer = "REDUCE_SUM", by = ["metric.label.type"] },
  ]
  widgets = concat([for panel in local.panels : {
    title = panel.title
    xyChart = { dataSets = [{
      plotType = "LINE"
      timeSeriesQuery = { timeSeriesFilter = {
        filter = panel.filter
        aggregation = {
          alignmentPeriod    = "300s"
          perSeriesAligner   = panel.aligner
          crossSeriesReducer = panel.reducer
          groupByFields      = panel.by
        }
      } }
    }] }
    }], [
    { title = "Jobs that failed", logsPanel = { filter = local.broken, resourceNames = ["projects/${var.project}"] } },
    # Google has no metric of costs.
    { title = "Cost", text = { format = "MARKDOWN", content = "[Cost of this project by service](https://console.cloud.google.com/billing/linkedaccount?project=${var.project})" } },
  ])
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.emails)

  display_name = each.value
  type         = "email"
  labels       = { email_address = each.value }
  user_labels  = var.labels
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each = local.thresholds

  display_name          = "${var.endpoint.id}: ${each.key}"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = each.key
    condition_threshold {
      filter             = each.value.filter
      denominator_filter = each.value.of
      comparison         = "COMPARISON_GT"
      threshold_value    = each.value.above
      duration           = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
      }
      dynamic "denominator_aggregations" {
        for_each = each.value.of == null ? [] : [each.value.of]
        content {
          alignment_period     = "300s"
          per_series_aligner   = each.value.aligner
          cross_series_reducer = each.value.reducer
        }
      }
    }
  }
  documentation {
    content = each.value.why
  }
}

resource "google_monitoring_alert_policy" "silence" {
  count = var.alerts.silence > 0 ? 1 : 0

  display_name          = "${var.endpoint.id}: no traffic"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "no traffic"
    condition_absent {
      filter   = local.responses
      duration = "${var.alerts.silence}s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }
  documentation {
    content = "Nobody has asked for ${var.alerts.silence / 60} minutes: callers, or what leads them here, are broken."
  }
}

resource "google_monitoring_alert_policy" "jobs" {
  display_name          = "${var.endpoint.id}: jobs"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "a job failed"
    condition_matched_log {
      filter = local.broken
    }
  }
  alert_strategy {
    auto_close = "${24 * 60 * 60}s"
    notification_rate_limit { # Google asks for one where a log is matched
      period = "300s"
    }
  }
  documentation {
    content = "A training job of ${var.project} failed: its log says why."
  }
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = var.endpoint.id
    labels      = var.labels
    mosaicLayout = {
      columns = 12
      tiles = [for index, widget in local.widgets : {
        xPos   = 6 * (index % 2)
        yPos   = 4 * floor(index / 2)
        width  = 6
        height = 4
        widget = widget
      }]
    }
  })
}

locals {
  channels = [for channel in google_monitoring_notification_channel.email : channel.name]
}
