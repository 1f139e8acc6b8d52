terraform {
  required_version = ">= 1.11, < 2"

  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.38, < 4"
    }
    helm = {
      source  = "hashicorp/helm"
      version = ">= 3.1, < 4"
    }
  }
}

# Who asks is who the kubeconfig (KUBE_CONFIG_PATHS) says: a person, or the job's own OIDC token.
provider "kubernetes" {
  config_context = local.cloud.context == "" ? null : local.cloud.context
}

provider "helm" {
  helm_driver = "configmap" # so that the pipeline needs to read no Secret
  kubernetes = {
    config_context = local.cloud.context == "" ? null : local.cloud.context
  }
}
