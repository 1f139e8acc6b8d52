# Data is versioned, encrypted, private, and kept.
mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  place = {
    group    = "example-prod"
    group_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/example-prod"
    location = "westeurope"
    name     = "example-prod"
    tags     = { project = "example", environment = "prod", owner = "o", cost-centre = "c", data-class = "d", compliance = "none" }
  }
  network         = { private = false, cidr = "10.20.0.0/24", allowed = [] }
  retention       = { versions = 90, scratch = 30, logs = 30 }
  protect         = true
  account         = "exampleprod"
  container       = "example-prod"
  workspace_logs  = "logs"
  replica_readers = ["dev-jobs"]
}

run "account" {
  module {
    source = "./modules/storage"
  }

  assert {
    condition     = !azurerm_storage_account.this.shared_access_key_enabled && !azurerm_storage_account.this.allow_nested_items_to_be_public && !azurerm_storage_account.this.local_user_enabled
    error_message = "somebody may come without a login"
  }
  assert {
    condition     = azurerm_storage_account.this.min_tls_version == "TLS1_2" && azurerm_storage_account.this.https_traffic_only_enabled
    error_message = "not TLS only"
  }
  assert {
    condition     = azurerm_storage_account.this.blob_properties[0].versioning_enabled && azurerm_storage_account.this.blob_properties[0].delete_retention_policy[0].days == 90
    error_message = "what is overwritten or deleted is gone"
  }
  assert {
    condition     = alltrue([for one in azurerm_storage_container.this : one.container_access_type == "private"])
    error_message = "a container is public"
  }
  assert {
    condition     = alltrue([for one in azurerm_role_assignment.replica : one.role_definition_name == "Storage Blob Data Reader" && one.scope == azurerm_storage_container.this["replica"].id])
    error_message = "a lower environment may do more than read the replica"
  }
  assert {
    condition = alltrue(flatten([
      for rule in azurerm_storage_management_policy.this.rule : [
        for prefix in coalesce(rule.filters[0].prefix_match, []) : prefix == "example-prod/jobs/"
      ] if length(rule.actions[0].base_blob) > 0 && try(rule.actions[0].base_blob[0].delete_after_days_since_modification_greater_than, -1) == 30
    ]))
    error_message = "files are deleted that are not scratch"
  }
  assert {
    condition     = length(azurerm_management_lock.this) == 1
    error_message = "data is not protected"
  }
}

run "unprotected" {
  module {
    source = "./modules/storage"
  }
  variables {
    protect = false
  }
  assert {
    condition     = length(azurerm_management_lock.this) == 0
    error_message = "a destroy would stop at the lock"
  }
}

run "private" {
  module {
    source = "./modules/storage"
  }
  variables {
    network = { private = true, cidr = "10.20.0.0/24", allowed = ["192.0.2.1"] }
  }
  assert {
    condition     = !azurerm_storage_account.this.public_network_access_enabled && azurerm_storage_account.this.network_rules[0].default_action == "Deny"
    error_message = "private is not private"
  }
}
