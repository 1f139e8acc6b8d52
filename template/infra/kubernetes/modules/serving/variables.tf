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

variable "owned" {
  type        = bool
  description = "The gateway is the environment's own."
}

variable "host" {
  type        = string
  description = "cloud.host: what callers ask for."
}

variable "class" {
  type        = string
  description = "The GatewayClass: whose controller runs it."
}

variable "issuer" {
  type        = string
  description = "cert-manager's Issuer; empty: the Secret GATEWAY-tls is there already."
}

variable "chart" {
  type        = string
  description = "The folder of the chart that carries objects."
}
