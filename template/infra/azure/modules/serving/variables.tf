variable "place" { type = object({ group = string, group_id = string, location = string, name = string, tags = map(string) }) }
variable "endpoint" { type = string }
variable "callers" { type = map(string) }
variable "workspace_logs" { type = string }
