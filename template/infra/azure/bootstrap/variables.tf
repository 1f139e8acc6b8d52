# What ../terraform.tfvars and ../environments/ENV.tfvars say, as far as it is needed here: ../variables.tf
# says what each is. Terraform warns of the rest.
variable "environment" { type = string }
variable "project" { type = string }
variable "ci" { type = string }
variable "owner" { type = string }
variable "cost_centre" { type = string }
variable "compliance" { type = string }
variable "protect" { type = bool }
variable "repository" {
  type = object({
    path     = string
    owner_id = optional(string, "")
    id       = optional(string, "")
    host     = optional(string, "gitlab.com")
    branches = optional(list(string), ["main"])
  })
}

variable "admins" {
  type        = list(string)
  default     = []
  description = "Object ids of people or groups who plan and apply by hand, beside who runs this: TF_VAR_admins."
}
