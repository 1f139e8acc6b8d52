variable "place" { type = object({ name = string, account = string, region = string }) }
variable "callers" { type = list(string) } # ARNs of roles
variable "retention" { type = number }     # days
variable "key" { type = string }
