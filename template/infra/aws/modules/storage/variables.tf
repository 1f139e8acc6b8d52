variable "place" { type = object({ project = string, account = string, region = string }) }
variable "bucket" { type = string }
variable "writers" { type = list(string) } # ARNs of roles
variable "readers" { type = list(string) } # of the other environments' roles, with a wildcard at the end
variable "guests" { type = list(string) }  # of the other environments' pipelines, where they share this bucket
variable "accounts" { type = set(string) } # of environments that have their own
variable "versions" { type = number }      # days that an earlier version of an object is kept
variable "protect" { type = bool }
