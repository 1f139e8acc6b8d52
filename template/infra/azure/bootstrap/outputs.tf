output "cloud" {
  description = "Keys of cloud in environments/<environment>.yaml: as whom pipelines plan and apply. None is secret."
  value       = { for name in ["plan", "apply"] : "${name}_client" => azurerm_user_assigned_identity.this[name].client_id }
}

output "variables" {
  description = "The variable in the CI platform without which nobody can log in for the first apply."
  value       = { AZURE_TENANT_ID = data.azurerm_client_config.this.tenant_id }
}
