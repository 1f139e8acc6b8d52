# The workspace of Azure ML, its vault, and a cluster that costs nothing while nothing runs.

resource "azurerm_key_vault" "this" {
  #checkov:skip=CKV2_AZURE_32: Private endpoints are network.private's, in modules/network
  # Unique in the world, at most 24 characters.
  name                          = "${substr(replace(var.place.name, "-", ""), 0, 17)}-${substr(sha1(var.place.group_id), 0, 6)}"
  resource_group_name           = var.place.group
  location                      = var.place.location
  tags                          = var.place.tags
  tenant_id                     = var.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = var.protect
  soft_delete_retention_days    = var.protect ? 90 : 7
  public_network_access_enabled = !var.network.private

  network_acls {
    default_action = var.network.private || length(var.network.allowed) > 0 ? "Deny" : "Allow"
    ip_rules       = var.network.private ? [] : var.network.allowed
    bypass         = "AzureServices"
  }
}

# No lock, unlike the storage: it would hold for what lies in it too, and no slot could be emptied.
resource "azurerm_machine_learning_workspace" "this" {
  #checkov:skip=CKV2_AZURE_49: network.private closes it; hosted runners come over the internet, by their login
  #checkov:skip=CKV2_AZURE_50: Storage has no keys: identities only
  name                          = var.name
  resource_group_name           = var.place.group
  location                      = var.place.location
  tags                          = var.place.tags
  application_insights_id       = var.insights_id
  key_vault_id                  = azurerm_key_vault.this.id
  storage_account_id            = var.storage_id
  storage_account_access_type   = "Identity" # the account has no keys
  container_registry_id         = var.images_id
  public_network_access_enabled = !var.network.private

  # Serverless jobs run as the identity that is attached; the workspace itself has its own.
  identity {
    type         = "SystemAssigned, UserAssigned"
    identity_ids = [var.jobs_id]
  }

  dynamic "managed_network" {
    for_each = var.network.private ? [1] : []
    content {
      isolation_mode = "AllowInternetOutbound" # jobs get packages; nobody gets in
    }
  }
}

# The vault and the account belong to the workspace: it must reach them without keys.
resource "azurerm_role_assignment" "workspace" {
  for_each = {
    "Key Vault Administrator"                  = azurerm_key_vault.this.id
    "Storage Blob Data Contributor"            = var.storage_id
    "Storage File Data Privileged Contributor" = var.storage_id
  }

  scope                = each.value
  role_definition_name = each.key
  principal_id         = azurerm_machine_learning_workspace.this.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_machine_learning_compute_cluster" "this" {
  count = var.cluster == "" ? 0 : 1 # without one, jobs are serverless

  name                          = var.cluster
  location                      = var.place.location
  tags                          = var.place.tags
  machine_learning_workspace_id = azurerm_machine_learning_workspace.this.id
  vm_size                       = var.machine
  vm_priority                   = var.spot ? "LowPriority" : "Dedicated"
  local_auth_enabled            = false
  node_public_ip_enabled        = !var.network.private

  scale_settings {
    min_node_count                       = 0
    max_node_count                       = var.nodes
    scale_down_nodes_after_idle_duration = "PT5M"
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.jobs_id]
  }

  depends_on = [azurerm_role_assignment.workspace]
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  for_each = {
    workspace = { id = azurerm_machine_learning_workspace.this.id, logs = ["AmlRunStatusChangedEvent", "AmlComputeJobEvent", "AmlModelsEvent"] }
    vault     = { id = azurerm_key_vault.this.id, logs = ["AuditEvent"] }
  }

  name                       = "audit"
  target_resource_id         = each.value.id
  log_analytics_workspace_id = var.workspace_logs

  dynamic "enabled_log" {
    for_each = each.value.logs
    content {
      category = enabled_log.value
    }
  }
}
