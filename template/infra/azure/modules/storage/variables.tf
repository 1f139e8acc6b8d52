variable "place" { type = object({ group = string, group_id = string, location = string, name = string, tags = map(string) }) }
variable "account" { type = string }
variable "container" { type = string }
variable "network" { type = object({ private = bool, cidr = string, allowed = list(string) }) }
variable "retention" { type = object({ versions = number, scratch = number, logs = number }) }
variable "protect" { type = bool }
variable "workspace_logs" { type = string }
variable "replica_readers" { type = list(string) }
