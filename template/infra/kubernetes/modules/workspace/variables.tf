variable "namespace" {
  type        = string
  description = "The environment's namespace."
}

variable "labels" {
  type        = map(string)
  description = "Of every object."
}

variable "sizes" {
  type        = object({ cpu = number, memory = number, gpus = number, pods = number })
  description = "The most that the environment may ask for."
}
