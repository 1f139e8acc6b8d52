locals {
  # The single truth for names. infra/ makes what it names; src/mlops/cloud/kubernetes.py reads it too.
  folder   = "${path.root}/../../environments"
  settings = yamldecode(file("${local.folder}/${var.environment}.yaml"))
  cloud    = merge({ context = "", gateway_namespace = "", gateway = "", host = "", bucket = "", endpoint_url = "", job_image = "" }, local.settings.cloud)
  name     = "${var.project}-${var.environment}" # what the project's objects begin with
  labels = { for key, value in {
    "app.kubernetes.io/managed-by" = "terraform"
    "app.kubernetes.io/instance"   = local.name
    project                        = var.project
    environment                    = var.environment
    owner                          = var.owner
    cost-centre                    = var.cost_centre
    data-class                     = var.data_class
    compliance                     = var.compliance
  } : key => replace(value, "/[^A-Za-z0-9._-]+/", "-") } # what a label may hold
}

module "workspace" {
  source    = "./modules/workspace"
  namespace = local.cloud.namespace
  labels    = local.labels
  sizes     = var.sizes
}

module "network" {
  source     = "./modules/network"
  namespace  = local.cloud.namespace
  labels     = local.labels
  gateway    = local.cloud.gateway
  monitoring = var.network.monitoring_namespace
}

module "identity" {
  source      = "./modules/identity"
  namespace   = local.cloud.namespace
  labels      = local.labels
  name        = local.name
  environment = var.environment
  protected   = local.settings.protected
  people      = var.people
  ci          = var.ci
  repository  = var.repository
}

module "storage" {
  source       = "./modules/storage"
  bucket       = local.cloud.bucket
  endpoint_url = local.cloud.endpoint_url
  others = [
    for file in fileset(local.folder, "*.yaml") : try(yamldecode(file("${local.folder}/${file}")).cloud.bucket, "")
    if file != "${var.environment}.yaml"
  ]
}

module "images" {
  source    = "./modules/images"
  image     = local.cloud.image
  job_image = local.cloud.job_image
}

module "serving" {
  source    = "./modules/serving"
  namespace = local.cloud.namespace
  labels    = local.labels
  gateway   = local.cloud.gateway
  owned     = can(local.settings.serving) && contains(["", local.cloud.namespace], local.cloud.gateway_namespace)
  host      = local.cloud.host
  class     = var.network.gateway_class
  issuer    = var.network.certificate_issuer
  chart     = "${path.root}/charts/objects"
}

module "monitoring" {
  source    = "./modules/monitoring"
  namespace = local.cloud.namespace
  labels    = local.labels
  name      = local.name
  emails    = var.budget.emails
  rules     = module.budget.rules
  chart     = "${path.root}/charts/objects"
}

module "budget" {
  source    = "./modules/budget"
  namespace = local.cloud.namespace
  name      = local.name
  budget    = var.budget
  sizes     = var.sizes
  prices    = var.prices
}
