variable "place" { type = object({ group = string, group_id = string, location = string, name = string, tags = map(string) }) }
variable "retention" { type = object({ versions = number, scratch = number, logs = number }) }
variable "alerts" { type = object({ errors = number, latency_ms = number, quiet = string, quota = number }) }
variable "emails" { type = list(string) }
variable "budget_id" { type = string }
variable "ml_workspace" { type = string }
variable "endpoint" { type = string }
variable "endpoint_ids" { type = map(string) }
variable "storage_id" { type = string }
