terraform {
  required_version = ">= 1.11, < 2"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.81, < 6"
    }
  }
}

provider "azurerm" {
  subscription_id                 = local.names.subscription
  storage_use_azuread             = true   # the accounts have no keys to go by
  resource_provider_registrations = "none" # bootstrap registers them: it has the right to

  features {
    application_insights {
      disable_generated_rule = true # an alert that Azure makes by itself outlives a destroy
    }
    key_vault {
      purge_soft_delete_on_destroy = false # a right on the subscription; the next apply recovers it
    }
    log_analytics_workspace {
      permanently_delete_on_destroy = !var.protect
    }
    machine_learning {
      purge_soft_deleted_workspace_on_destroy = !var.protect # else its name stays taken
    }
    storage {
      data_plane_available = false # who plans may read no data, not even how it is set up
    }
  }
}
