variable "place" { type = object({ group = string, group_id = string, location = string, name = string, tags = map(string) }) }
variable "tenant_id" { type = string }
variable "name" { type = string }
variable "cluster" { type = string }
variable "machine" { type = string }
variable "spot" { type = bool }
variable "nodes" { type = number }
variable "storage_id" { type = string }
variable "images_id" { type = string }
variable "insights_id" { type = string }
variable "workspace_logs" { type = string }
variable "jobs_id" { type = string }
variable "network" { type = object({ private = bool, cidr = string, allowed = list(string) }) }
variable "protect" { type = bool }
