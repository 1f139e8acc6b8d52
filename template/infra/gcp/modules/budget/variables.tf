variable "name" {
  description = "What the budget is called."
  type        = string
}

variable "project_number" {
  description = "The number of the project whose costs count."
  type        = string
}

variable "billing_account" {
  description = "The account that pays for it."
  type        = string
  validation {
    condition     = var.billing_account != null && var.billing_account != ""
    error_message = "The project has no billing account that you may see: link one, or ask for the role Billing Account Viewer."
  }
}

variable "budget" {
  description = "Amount a month, and its currency."
  type        = object({ amount = number, currency = string })
}

variable "channels" {
  description = "Who is told, as Google Monitoring names them."
  type        = list(string)
}
