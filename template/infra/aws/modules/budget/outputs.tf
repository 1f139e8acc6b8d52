output "budget" { value = aws_budgets_budget.month.name }
