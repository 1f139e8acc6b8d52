output "ceiling" {
  description = "What a month costs if all of the quota is used."
  value       = local.ceiling
  precondition {
    condition     = local.ceiling <= var.budget.amount
    error_message = "The quota would cost ${local.ceiling} ${var.budget.currency} a month: lower sizes, or raise budget.amount."
  }
}

output "rules" {
  description = "Rules of Prometheus: the cost of an hour, and alarms at 50, 80 and 100 % of the budget."
  value = concat(
    [{ record = "mlops:cost:hour", expr = local.hourly, labels = { namespace = var.namespace } }],
    [for percent in [50, 80, 100] : {
      alert       = "Budget${percent}"
      expr        = "sum_over_time(mlops:cost:hour{namespace=\"${var.namespace}\"}[30d:1h]) > ${var.budget.amount * percent / 100}"
      labels      = { namespace = var.namespace, severity = percent == 100 ? "critical" : "warning" }
      annotations = { summary = "${var.name}: ${percent} % of ${var.budget.amount} ${var.budget.currency} in 30 days" }
    }],
  )
}
