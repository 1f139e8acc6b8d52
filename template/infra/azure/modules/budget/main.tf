# A month's budget of the environment's resource group: told at half, at four fifths, when it is used up,
# and when the forecast says it will be.
resource "azurerm_consumption_budget_resource_group" "this" {
  name              = var.place.name
  resource_group_id = var.place.group_id
  amount            = var.budget.amount
  time_grain        = "Monthly"

  time_period {
    start_date = formatdate("YYYY-MM-01'T'00:00:00Z", plantimestamp())
  }

  dynamic "notification" {
    for_each = { for alarm in [[50, "Actual"], [80, "Actual"], [100, "Actual"], [100, "Forecasted"]] : join(" ", alarm) => alarm }
    content {
      threshold      = notification.value[0]
      threshold_type = notification.value[1]
      operator       = "GreaterThanOrEqualTo"
      contact_emails = var.budget.emails
    }
  }

  lifecycle {
    ignore_changes = [time_period] # it starts with the month of the first apply, and stays
  }
}
