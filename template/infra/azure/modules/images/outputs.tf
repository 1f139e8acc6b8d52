output "id" { value = azurerm_container_registry.this.id }
