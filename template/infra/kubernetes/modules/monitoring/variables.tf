variable "namespace" {
  type        = string
  description = "The environment's namespace."
}

variable "labels" {
  type        = map(string)
  description = "Of every object."
}

variable "name" {
  type        = string
  description = "What the project's objects begin with."
}

variable "emails" {
  type        = list(string)
  description = "Who hears of an alert."
}

variable "rules" {
  type        = any
  description = "More rules of Prometheus: the budget's."
}

variable "chart" {
  type        = string
  description = "The folder of the chart that carries objects."
}
