# An account that is this environment's alone is counted whole. In one that environments share, the tag
# `environment` tells them apart: whoever pays for the organisation must activate it once as a cost
# allocation tag, and until then nothing is counted.
locals {
  filters = merge(
    { LinkedAccount = [var.place.account] },
    var.shared ? { TagKeyValue = [format("user:environment$%s", var.place.environment)] } : {},
  )
}

resource "aws_budgets_budget" "month" {
  name         = var.place.name
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(var.budget.amount)
  limit_unit   = var.budget.currency

  dynamic "cost_filter" {
    for_each = local.filters
    content {
      name   = cost_filter.key
      values = cost_filter.value
    }
  }

  dynamic "notification" {
    for_each = [[50, "ACTUAL"], [80, "ACTUAL"], [100, "ACTUAL"], [100, "FORECASTED"]]
    content {
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value[0]
      threshold_type             = "PERCENTAGE"
      notification_type          = notification.value[1]
      subscriber_email_addresses = var.budget.emails
      subscriber_sns_topic_arns  = [var.topic]
    }
  }
}
