variable "namespace" {
  type        = string
  description = "The environment's namespace."
}

variable "name" {
  type        = string
  description = "What the project's objects begin with."
}

variable "budget" {
  type        = object({ amount = number, currency = string, emails = list(string) })
  description = "What a month may cost."
}

variable "sizes" {
  type        = object({ cpu = number, memory = number, gpus = number, pods = number })
  description = "The quota."
}

variable "prices" {
  type        = object({ cpu = number, memory = number, gpu = number })
  description = "Of an hour of a core, a GiB, a GPU."
}
