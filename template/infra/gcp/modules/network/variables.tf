variable "name" {
  description = "What the network is called."
  type        = string
}

variable "region" {
  description = "Where its subnet is."
  type        = string
}

variable "network" {
  description = "Its range of private addresses."
  type        = object({ cidr = string })
  validation {
    condition     = can(cidrhost(var.network.cidr, 0))
    error_message = "network.cidr is ${var.network.cidr}: a range such as 10.20.0.0/24."
  }
}
