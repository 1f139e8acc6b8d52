variable "namespace" {
  type        = string
  description = "The environment's namespace."
}

variable "labels" {
  type        = map(string)
  description = "Of every object."
}

variable "gateway" {
  type        = string
  description = "cloud.gateway."
}

variable "monitoring" {
  type        = string
  description = "The namespace that Prometheus runs in."
}
