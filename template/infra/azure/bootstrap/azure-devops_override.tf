# A module says once which providers it takes; what stands in an override file is added to it.
terraform {
  required_providers {
    azuredevops = {
      source  = "microsoft/azuredevops"
      version = ">= 1.15, < 2"
    }
  }
}
