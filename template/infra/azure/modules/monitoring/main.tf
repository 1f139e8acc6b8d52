# Logs and telemetry, and who is told when. An endpoint's alerts come with the apply after its first release.

resource "azurerm_log_analytics_workspace" "this" {
  name                = "${var.place.name}-logs"
  resource_group_name = var.place.group
  location            = var.place.location
  tags                = var.place.tags
  sku                 = "PerGB2018"
  retention_in_days   = max(var.retention.logs, 30)
}

resource "azurerm_application_insights" "this" {
  name                = "${var.place.name}-insights"
  resource_group_name = var.place.group
  location            = var.place.location
  tags                = var.place.tags
  workspace_id        = azurerm_log_analytics_workspace.this.id
  application_type    = "web"
}

resource "azurerm_monitor_action_group" "this" {
  name                = "${var.place.name}-owners"
  resource_group_name = var.place.group
  tags                = var.place.tags
  short_name          = "owners"

  dynamic "email_receiver" {
    for_each = toset(var.emails)
    content {
      name                    = email_receiver.value
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }
}

locals {
  ml = "Microsoft.MachineLearningServices/workspaces"
  sources = {
    workspace = { id = var.ml_workspace, namespace = local.ml }
    endpoint  = { id = one(values(var.endpoint_ids)), namespace = "${local.ml}/onlineEndpoints" }
  }
  always = {
    job-failures = { of = "workspace", metric = "Failed Runs", as = "Total", above = 0, severity = 2, status = [], what = "A training job has failed." }
    quota        = { of = "workspace", metric = "Quota Utilization Percentage", as = "Maximum", above = var.alerts.quota, severity = 3, status = [], what = "Few of the machines that may be had are left." }
  }
  released = {
    errors  = { of = "endpoint", metric = "RequestsPerMinute", as = "Average", above = var.alerts.errors, severity = 1, status = ["5xx"], what = "The endpoint answers with errors of its own." }
    latency = { of = "endpoint", metric = "RequestLatency_P95", as = "Average", above = var.alerts.latency_ms, severity = 2, status = [], what = "The slowest twentieth of the answers takes too long." }
  }
}

resource "azurerm_monitor_metric_alert" "this" {
  for_each = merge(local.always, { for name, alert in local.released : name => alert if length(var.endpoint_ids) > 0 })

  name                = "${var.place.name}-${each.key}"
  resource_group_name = var.place.group
  tags                = var.place.tags
  description         = each.value.what
  scopes              = [local.sources[each.value.of].id]
  severity            = each.value.severity
  frequency           = "PT5M"
  window_size         = "PT15M"

  criteria {
    metric_namespace       = local.sources[each.value.of].namespace
    metric_name            = each.value.metric
    aggregation            = each.value.as
    operator               = "GreaterThan"
    threshold              = each.value.above
    skip_metric_validation = true # a metric that has had no value as yet is not found

    dynamic "dimension" {
      for_each = each.value.status
      content {
        name     = "statusCodeClass"
        operator = "Include"
        values   = [dimension.value]
      }
    }
  }

  action {
    action_group_id = azurerm_monitor_action_group.this.id
  }
}

# A metric without values raises no alert: silence is seen in the log only.
resource "azurerm_monitor_scheduled_query_rules_alert_v2" "quiet" {
  for_each = var.alerts.quiet == "" ? {} : var.endpoint_ids

  name                  = "${var.place.name}-quiet"
  resource_group_name   = var.place.group
  location              = var.place.location
  tags                  = var.place.tags
  description           = "Nobody has called the endpoint."
  scopes                = [azurerm_log_analytics_workspace.this.id]
  severity              = 2
  evaluation_frequency  = "PT15M"
  window_duration       = var.alerts.quiet
  skip_query_validation = true # the table is there once its first row is

  criteria {
    query                   = "AmlOnlineEndpointTrafficLog | where EndpointName == '${each.key}'"
    time_aggregation_method = "Count"
    operator                = "LessThan"
    threshold               = 1
  }

  action {
    action_groups = [azurerm_monitor_action_group.this.id]
  }
}
