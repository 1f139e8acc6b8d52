output "id" { value = azurerm_machine_learning_workspace.this.id }
output "name" { value = azurerm_machine_learning_workspace.this.name }
output "principal_id" { value = azurerm_machine_learning_workspace.this.identity[0].principal_id }
output "cluster" { value = one(azurerm_machine_learning_compute_cluster.this[*].name) }
output "vault_id" { value = azurerm_key_vault.this.id }
