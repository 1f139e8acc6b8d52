variable "place" { type = object({ name = string, region = string }) }
variable "network" { type = object({ private = bool, id = string, subnets = list(string), routes = list(string) }) }
