# The names are those of environments/<environment>.yaml: this makes what they name.
locals {
  environments = "${path.root}/../../environments"
  settings     = yamldecode(file("${local.environments}/${var.environment}.yaml"))
  names        = local.settings.cloud
  container    = regex("^https://(?P<account>[a-z0-9]{3,24})[.]blob[.][^/]+/(?P<name>[^/]+)$", local.names.container)
  endpoint     = try(coalesce(local.names.endpoint), "${var.project}-${var.environment}")
  # Where the champion changes by a release only, people read; elsewhere they work.
  protected = try(local.settings.protected, true)

  # An image is built once, so dev makes the registry of all environments. The others name it, and read nothing there.
  registry  = split(".", local.names.image)[0]
  owner     = var.environment == "dev"
  dev       = yamldecode(file("${local.environments}/dev.yaml")).cloud
  images_id = "/subscriptions/${local.dev.subscription}/resourceGroups/${local.dev.resource_group}/providers/Microsoft.ContainerRegistry/registries/${local.registry}"

  place = {
    group    = data.azurerm_resource_group.this.name
    group_id = data.azurerm_resource_group.this.id
    location = local.names.location
    name     = "${var.project}-${var.environment}"
    tags = {
      project     = var.project
      environment = var.environment
      owner       = var.owner
      cost-centre = var.cost_centre
      data-class  = var.data_class
      compliance  = var.compliance
    }
  }
}

data "azurerm_client_config" "this" {}

# Made by bootstrap, for the identity that runs this has rights on it, and on nothing around it.
data "azurerm_resource_group" "this" {
  name = local.names.resource_group
}

module "trust" {
  source       = "./modules/identity/trust"
  ci           = var.ci
  repository   = var.repository
  environments = [var.environment]
}

module "identity" {
  source    = "./modules/identity"
  place     = local.place
  trust     = module.trust
  people    = var.people
  protected = local.protected
  elevation = var.elevation
}

module "storage" {
  source          = "./modules/storage"
  place           = local.place
  account         = local.container.account
  container       = local.container.name
  network         = var.network
  retention       = var.retention
  protect         = var.protect
  workspace_logs  = module.monitoring.workspace_id
  replica_readers = var.replica_readers
}

module "images" {
  source  = "./modules/images"
  count   = local.owner ? 1 : 0
  place   = local.place
  name    = local.registry
  network = var.network
  pushers = { pipeline = module.identity.pipeline.principal_id }
  pullers = merge({
    jobs      = module.identity.jobs.principal_id
    workspace = module.workspace.principal_id
  }, { for id in var.image_readers : id => id })
}

module "workspace" {
  source         = "./modules/workspace"
  place          = local.place
  tenant_id      = data.azurerm_client_config.this.tenant_id
  name           = local.names.workspace
  cluster        = try(local.names.compute, "")
  machine        = try(local.names.machine, "Standard_DS3_v2")
  spot           = try(local.settings.training.spot, false)
  nodes          = var.nodes
  storage_id     = module.storage.account_id
  images_id      = local.owner ? module.images[0].id : local.images_id
  insights_id    = module.monitoring.insights_id
  workspace_logs = module.monitoring.workspace_id
  jobs_id        = module.identity.jobs.id
  network        = var.network
  protect        = var.protect
}

module "network" {
  source = "./modules/network"
  count  = var.network.private ? 1 : 0
  place  = local.place
  cidr   = var.network.cidr
  targets = merge(
    {
      blob         = { id = module.storage.account_id, zones = ["privatelink.blob.core.windows.net"] }
      file         = { id = module.storage.account_id, zones = ["privatelink.file.core.windows.net"] }
      queue        = { id = module.storage.account_id, zones = ["privatelink.queue.core.windows.net"] }
      vault        = { id = module.workspace.vault_id, zones = ["privatelink.vaultcore.azure.net"] }
      amlworkspace = { id = module.workspace.id, zones = ["privatelink.api.azureml.ms", "privatelink.notebooks.azure.net"] }
    },
    local.owner ? { registry = { id = module.images[0].id, zones = ["privatelink.azurecr.io"] } } : {},
  )
}

module "serving" {
  source         = "./modules/serving"
  place          = local.place
  endpoint       = local.endpoint
  callers        = merge({ pipeline = module.identity.pipeline.principal_id }, { for id in var.callers : id => id })
  workspace_logs = module.monitoring.workspace_id
}

module "monitoring" {
  source       = "./modules/monitoring"
  place        = local.place
  retention    = var.retention
  alerts       = var.alerts
  emails       = var.budget.emails
  budget_id    = module.budget.id
  ml_workspace = module.workspace.id
  endpoint     = local.endpoint
  endpoint_ids = module.serving.endpoint_ids
  storage_id   = module.storage.account_id
}

module "budget" {
  source = "./modules/budget"
  place  = local.place
  budget = var.budget
}

# The switch: a destroy comes here first, as all else is what it depends on. `protect = false`, applied, opens it.
resource "terraform_data" "protect" {
  input = var.protect

  provisioner "local-exec" {
    when    = destroy
    command = self.input ? "echo 'protect is true: set it to false and apply, then destroy.' >&2; exit 1" : "true"
  }

  depends_on = [
    module.identity, module.storage, module.images, module.workspace, module.network, module.serving,
    module.monitoring, module.budget,
  ]
}
