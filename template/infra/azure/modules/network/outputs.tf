output "subnet_id" { value = azurerm_subnet.this.id }
