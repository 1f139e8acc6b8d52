variable "place" { type = object({ account = string, region = string }) }
variable "group" { type = string }         # the model package group; empty if another environment makes it
variable "accounts" { type = set(string) } # of environments that have their own
