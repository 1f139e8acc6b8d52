# One environment at AWS. Names come from environments/<environment>.yaml, which the code reads too.
locals {
  root     = "${path.root}/../.."
  order    = [for name in ["dev", "test", "staging", "shadow", "prod"] : name if fileexists("${local.root}/environments/${name}.yaml")]
  files    = { for name in local.order : name => yamldecode(file("${local.root}/environments/${name}.yaml")) }
  clouds   = { for name, file in local.files : name => merge({ package_group = var.project, job_image = "" }, file.cloud) }
  settings = local.files[var.environment]
  names    = local.clouds[var.environment]
  place = {
    name        = "${var.project}-${var.environment}" # of the endpoint, and what other names begin with
    project     = var.project
    environment = var.environment
    account     = local.names.account
    region      = local.names.region
  }

  # What environments share is dev's to make, what an account has once its first environment's: apply in this
  # order, destroy in reverse. Environments in other accounts get in by policies of what they share.
  shares   = var.environment == "dev"
  peers    = [for name in local.order : name if local.clouds[name].account == local.names.account]
  accounts = setsubtract([for cloud in local.clouds : cloud.account], [local.names.account])
  registry = "${local.names.account}.dkr.ecr.${local.names.region}.amazonaws.com/"
  images = {
    for key in ["image", "job_image"] : key => regex("^[^/]+/([^:@]+)", local.names[key])[0]
    if local.shares && startswith(local.names[key], local.registry)
  }

  # DVC's remotes, as .dvc/config has them: the one this environment releases to, the one all read.
  remotes = {
    for found in regexall("\\['remote \"([^\"]+)\"'\\][^\\[]*?url = s3://([^/\\s]+)/?(\\S*)", file("${local.root}/.dvc/config")) :
    found[0] => { bucket = found[1], prefix = found[2] }
  }
  home = local.clouds.dev.bucket # where models are registered

  tags = {
    project     = var.project
    environment = var.environment
    owner       = var.owner
    cost-centre = var.cost_centre
    data-class  = var.data_class
    compliance  = var.compliance
  }
}

module "network" {
  source  = "./modules/network"
  place   = local.place
  network = var.network
}

module "identity" {
  source         = "./modules/identity"
  place          = local.place
  names          = local.names
  home           = local.home
  writes         = try(local.remotes[local.settings.remote], null)
  reads          = try(local.remotes.storage, null)
  open           = !local.settings.protected
  repository     = var.repository
  ci             = var.ci
  makes_issuer   = local.peers[0] == var.environment
  people         = var.people
  elevated_until = var.elevated_until
}

module "storage" {
  source  = "./modules/storage"
  place   = local.place
  bucket  = local.names.bucket
  writers = module.identity.writers
  readers = [for name, cloud in local.clouds : "arn:aws:iam::${cloud.account}:role/${var.project}-${name}*" if name != var.environment]
  guests = flatten([
    for name, cloud in local.clouds : [for role in ["ci", "elevated"] : "arn:aws:iam::${cloud.account}:role/${var.project}-${name}-${role}"]
    if name != var.environment && local.shares
  ])
  accounts = local.accounts
  versions = var.retention.versions
  protect  = var.protect
}

module "images" {
  source   = "./modules/images"
  images   = local.images
  feed     = local.peers[0] == var.environment ? var.project : ""
  key      = module.storage.key
  accounts = local.accounts
  protect  = var.protect
}

module "workspace" {
  source   = "./modules/workspace"
  place    = local.place
  group    = local.shares ? local.names.package_group : ""
  accounts = local.accounts
}

module "serving" {
  source    = "./modules/serving"
  place     = local.place
  callers   = var.callers
  retention = var.retention.logs
  key       = module.storage.key
}

module "monitoring" {
  source  = "./modules/monitoring"
  place   = local.place
  bucket  = local.names.bucket
  machine = try(local.names.machine, "ml.m5.large")
  group   = local.names.package_group
  key     = module.storage.key
  alerts  = var.alerts
  emails  = var.budget.emails
}

module "budget" {
  source = "./modules/budget"
  place  = local.place
  shared = length(local.peers) > 1
  budget = var.budget
  topic  = module.monitoring.topic
}

# Destroyed before all else, so its refusal keeps everything. It goes by what was applied last: setting
# `protect` to false takes an apply of its own, which a review sees.
resource "terraform_data" "protect" {
  input = { on = var.protect, environment = var.environment }
  depends_on = [
    module.network, module.identity, module.storage, module.images, module.workspace, module.serving,
    module.monitoring, module.budget,
  ]

  provisioner "local-exec" {
    when    = destroy
    command = self.input.on ? "echo '${self.input.environment} is protected: set protect = false, apply, then destroy.' >&2; exit 1" : "true"
  }
}
