variable "place" { type = object({ group = string, group_id = string, location = string, name = string, tags = map(string) }) }
variable "name" { type = string }
variable "network" { type = object({ private = bool, cidr = string, allowed = list(string) }) }
variable "pushers" { type = map(string) }
variable "pullers" { type = map(string) }
