# One environment at Google Cloud. Names come from environments/<environment>.yaml, which the code reads too.
# The endpoint and its models are the release's to make, not Terraform's.
locals {
  root     = "${path.root}/../.."
  order    = [for name in ["dev", "test", "staging", "shadow", "prod"] : name if fileexists("${local.root}/environments/${name}.yaml")]
  files    = { for name in local.order : name => yamldecode(file("${local.root}/environments/${name}.yaml")) }
  clouds   = { for name, file in local.files : name => file.cloud }
  names    = local.clouds[var.environment]
  locked   = local.files[var.environment].protected # only the pipeline writes here
  provider = split("/", local.names.provider)       # projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/ID
  prefix   = local.provider[5]                      # the pool's name begins all others that environments/ does not give
  labels = { for key, value in {
    project     = var.project
    environment = var.environment
    owner       = var.owner
    cost-centre = var.cost_centre
    data-class  = var.data_class
    compliance  = var.compliance
  } : key => substr(replace(lower(value), "/[^a-z0-9_-]/", "-"), 0, 63) }

  people = { for persona in ["data_scientist", "ml_engineer", "model_validator", "operator", "auditor"] :
    persona => [for group in lookup(var.people, persona, []) : "group:${group}"]
  }
  builders = concat(local.people.data_scientist, local.people.ml_engineer)

  # The other environments' projects. Of one whose number nobody has filled in yet, nothing is known: once
  # it is, this one is applied again. A set of accounts, unlike an account, need not be there before.
  others = distinct([for name, cloud in local.clouds : split("/", cloud.provider)[1] if name != var.environment && !strcontains(cloud.provider, "/000000000000/")])
  theirs = [for number in local.others : "principalSet://cloudresourcemanager.googleapis.com/projects/${number}/type/ServiceAccount"]
  agents = [for number in local.others : "principalSet://cloudresourcemanager.googleapis.com/projects/${number}/type/ServiceAgent"]
  guests = var.environment == local.order[0] ? local.theirs : [] # it registers models, and all train from its data

  # Who gets the masked copy: the pipelines and jobs of the environments that may have it.
  masked_readers = flatten([for cloud in [for name in var.masked_for : local.clouds[name]] : [
    "serviceAccount:${cloud.service_account}",
    "serviceAccount:${split("/", cloud.provider)[5]}-ci@${cloud.project}.iam.gserviceaccount.com",
  ]])
}

data "google_project" "this" {
  project_id = local.names.project
}

module "workspace" {
  source   = "./modules/workspace"
  project  = local.names.project
  region   = local.names.region
  elevates = var.organization != ""
  audited  = local.locked
}

module "network" {
  source     = "./modules/network"
  count      = var.network == null ? 0 : 1
  name       = local.prefix
  region     = local.names.region
  network    = var.network
  depends_on = [module.workspace]
}

module "identity" {
  source          = "./modules/identity"
  project         = local.names.project
  environment     = var.environment
  prefix          = local.prefix
  provider_name   = local.names.provider
  trusted         = { for name in distinct([var.environment, local.order[0]]) : name => local.files[name].protected }
  audiences       = [for name in distinct([var.environment, local.order[0]]) : "https://iam.googleapis.com/${local.clouds[name].provider}"]
  ci              = var.ci
  repository      = var.repository
  service_account = local.names.service_account
  bucket          = local.names.bucket
  people          = local.people
  guests          = local.guests
  locked          = local.locked
  organization    = var.organization
  depends_on      = [module.workspace]
}

module "storage" {
  source         = "./modules/storage"
  bucket         = local.names.bucket
  region         = local.names.region
  writers        = concat([module.identity.pipeline, module.identity.runtime], local.locked ? [] : local.builders)
  readers        = concat(local.people.model_validator, local.people.auditor)
  status_readers = concat(local.people.operator, local.locked ? local.builders : [])
  guests         = local.guests
  masked_readers = local.masked_readers
  protect        = var.protect
  depends_on     = [module.workspace]
}

module "images" {
  source     = "./modules/images"
  project    = local.names.project
  image      = local.names.image
  packages   = "${var.project}-packages"
  writers    = concat([module.identity.pipeline], local.locked ? [] : local.people.ml_engineer)
  readers    = concat([module.identity.runtime], local.builders, local.people.model_validator, local.people.operator, local.theirs, local.agents)
  depends_on = [module.workspace]
}

module "serving" {
  source     = "./modules/serving"
  project    = local.names.project
  region     = local.names.region
  name       = "${var.project}-${var.environment}" # as release/targets/gcp.py calls it
  role       = local.prefix
  callers    = var.callers
  depends_on = [module.workspace]
}

module "monitoring" {
  source     = "./modules/monitoring"
  project    = local.names.project
  endpoint   = module.serving.endpoint
  bucket     = module.storage.bucket
  emails     = var.budget.emails
  alerts     = var.alerts
  labels     = local.labels # the provider gives alerts none of its own
  depends_on = [module.workspace]
}

module "budget" {
  source          = "./modules/budget"
  name            = "${var.project}-${var.environment}"
  project_number  = local.provider[1]
  billing_account = data.google_project.this.billing_account
  budget          = var.budget
  channels        = module.monitoring.channels
  depends_on      = [module.workspace]
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
