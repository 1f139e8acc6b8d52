output "account_id" { value = azurerm_storage_account.this.id }
output "container" { value = "https://${azurerm_storage_account.this.name}.blob.core.windows.net/${azurerm_storage_container.this["files"].name}" }
