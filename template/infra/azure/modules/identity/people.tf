# The table of personas. A name in lower case is one of the roles below, the others are Azure's.
locals {
  # Where people work.
  open = {
    data_scientist  = ["AzureML Data Scientist", "Storage Blob Data Contributor", "Storage File Data Privileged Contributor"]
    ml_engineer     = ["AzureML Data Scientist", "AzureML Compute Operator", "Storage Blob Data Contributor", "Monitoring Reader"]
    model_validator = ["viewer", "validator", "Storage Blob Data Reader"]
    operator        = ["viewer", "releaser", "Monitoring Reader"]
    auditor         = ["Reader", "Log Analytics Reader"]
  }
  # Where the champion changes by a release only: the pipeline writes, people read.
  closed = {
    data_scientist  = ["viewer"]
    ml_engineer     = ["viewer", "Monitoring Reader"]
    model_validator = ["viewer", "Storage Blob Data Reader"]
    operator        = ["viewer", "Monitoring Reader"]
    auditor         = ["Reader", "Log Analytics Reader"]
  }
  # What they may activate there for some hours, with a reason.
  elevated = {
    ml_engineer     = ["releaser"]
    model_validator = ["validator"]
    operator        = ["releaser"]
  }

  standing = var.protected ? local.closed : local.open
  eligible = var.protected && var.elevation != null ? local.elevated : {}

  view = concat(
    [for what in [
      "", "/computes", "/jobs", "/experiments", "/experiments/runs", "/environments", "/environments/versions",
      "/models", "/models/versions", "/onlineEndpoints", "/onlineEndpoints/deployments",
    ] : "Microsoft.MachineLearningServices/workspaces${what}/read"],
    [
      "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments/getLogs/action",
      "Microsoft.Insights/workbooks/read",
      "Microsoft.Resources/subscriptions/resourceGroups/read",
    ]
  )
  # Azure's own roles are too wide for these: AzureML Data Scientist writes everything in a workspace.
  custom = {
    viewer = {
      description = "Sees models, jobs, endpoints and their logs; changes nothing."
      actions     = local.view
      data        = []
    }
    validator = {
      description = "Marks a version of a model as validated."
      actions     = concat(local.view, ["Microsoft.MachineLearningServices/workspaces/models/versions/write"])
      data        = []
    }
    releaser = {
      description = "Moves traffic between slots, rolls back, writes the release's journal."
      actions = concat(
        local.view,
        [for what in ["write", "score/action", "deployments/write", "deployments/delete"] : "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/${what}"],
        ["Microsoft.Storage/storageAccounts/blobServices/containers/read"],
      )
      data = [for what in ["read", "write", "add/action", "delete"] : "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/${what}"]
    }
  }

  # Of a table: each group's roles, by a name of its own.
  given = { for name, table in { standing = local.standing, eligible = local.eligible } : name => {
    for one in flatten([for persona, roles in table : [
      for pair in setproduct(lookup(var.people, persona, []), roles) : { persona = persona, group = pair[0], role = pair[1] }
    ]]) : "${one.persona} ${one.role} ${one.group}" => one
  } }
}

resource "azurerm_role_definition" "custom" {
  for_each = local.custom

  name              = "${var.place.name} ${each.key}" # unique in the tenant
  scope             = var.place.group_id
  assignable_scopes = [var.place.group_id]
  description       = each.value.description

  permissions {
    actions      = each.value.actions
    data_actions = each.value.data
  }
}

resource "azurerm_role_assignment" "people" {
  for_each = local.given.standing

  scope                = var.place.group_id
  role_definition_id   = try(azurerm_role_definition.custom[each.value.role].role_definition_resource_id, null)
  role_definition_name = contains(keys(local.custom), each.value.role) ? null : each.value.role
  principal_id         = each.value.group
  principal_type       = "Group"
}

resource "azurerm_pim_eligible_role_assignment" "people" {
  for_each = local.given.eligible

  scope              = var.place.group_id
  role_definition_id = azurerm_role_definition.custom[each.value.role].role_definition_resource_id
  principal_id       = each.value.group
  justification      = "${each.value.persona} of ${var.place.name}"

  schedule {
    expiration {
      duration_days = var.elevation.days # then the right is asked for again
    }
  }

  depends_on = [azurerm_role_management_policy.elevated] # it says how long is allowed
}

resource "azurerm_role_management_policy" "elevated" {
  for_each = toset(distinct(flatten(values(local.eligible))))

  scope              = var.place.group_id
  role_definition_id = azurerm_role_definition.custom[each.key].role_definition_resource_id

  activation_rules {
    maximum_duration                   = "PT${var.elevation.hours}H"
    require_justification              = true
    require_multifactor_authentication = true
  }

  eligible_assignment_rules {
    expiration_required = true
    expire_after        = "P${var.elevation.days}D"
  }
}
