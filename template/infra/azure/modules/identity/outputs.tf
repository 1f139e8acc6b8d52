output "pipeline" { value = data.azurerm_user_assigned_identity.pipeline }
output "jobs" { value = azurerm_user_assigned_identity.jobs }
output "personas" { value = { standing = local.standing, eligible = local.eligible } }
