# Data, models, journals, the DVC remote and the workspace's own files: one account that has no keys.

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_33: the queue holds notices, which only Event Grid may send
  #checkov:skip=CKV_AZURE_35: network.private or network.allowed closes it; hosted runners have no fixed address
  #checkov:skip=CKV_AZURE_59: network.private closes it; hosted runners come over the internet, by their login
  #checkov:skip=CKV_AZURE_206: Copies in three zones; another region is the team's choice, as data may not leave its own
  #checkov:skip=CKV2_AZURE_1: Encrypted by Azure's keys; a key of one's own is a policy of the organisation
  #checkov:skip=CKV2_AZURE_33: Private endpoints are network.private's, in modules/network
  name                = var.account
  resource_group_name = var.place.group
  location            = var.place.location
  tags                = var.place.tags

  account_tier                      = "Standard"
  account_replication_type          = "ZRS"
  infrastructure_encryption_enabled = true # twice, as others' keys are not ours to watch
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  local_user_enabled                = false
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  public_network_access_enabled     = !var.network.private

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = min(var.retention.versions, 365)
    }
    container_delete_retention_policy {
      days = min(var.retention.versions, 365)
    }
  }

  network_rules {
    default_action = var.network.private || length(var.network.allowed) > 0 ? "Deny" : "Allow"
    ip_rules       = var.network.private ? [] : var.network.allowed
    bypass         = ["AzureServices"] # the workspace, Event Grid
  }
}

resource "azurerm_storage_container" "this" {
  #checkov:skip=CKV2_AZURE_21: Writes and deletions are logged below, by a diagnostic setting
  for_each = {
    files   = var.container
    replica = "replica" # masked copies for lower environments: the only thing they may read here
  }

  name                  = each.value
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

resource "azurerm_role_assignment" "replica" {
  for_each = toset(var.replica_readers)

  scope                = azurerm_storage_container.this["replica"].id
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = each.value
  principal_type       = "ServicePrincipal"
}

resource "azurerm_storage_management_policy" "this" {
  storage_account_id = azurerm_storage_account.this.id

  rule {
    name    = "versions"
    enabled = true
    filters {
      blob_types = ["blockBlob"]
    }
    actions {
      version {
        delete_after_days_since_creation = var.retention.versions
      }
    }
  }

  rule {
    name    = "scratch"
    enabled = true
    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["${var.container}/jobs/"]
    }
    actions {
      base_blob {
        delete_after_days_since_modification_greater_than = var.retention.scratch
      }
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "blobs" {
  name                       = "audit"
  target_resource_id         = "${azurerm_storage_account.this.id}/blobServices/default"
  log_analytics_workspace_id = var.workspace_logs

  enabled_log {
    category = "StorageWrite"
  }
  enabled_log {
    category = "StorageDelete"
  }
  enabled_metric {
    category = "Transaction"
  }
}

resource "azurerm_management_lock" "this" {
  count = var.protect ? 1 : 0

  name       = "data"
  scope      = azurerm_storage_account.this.id
  lock_level = "CanNotDelete"
  notes      = "Data and models. `protect` of the environment's tfvars takes it off."
}
