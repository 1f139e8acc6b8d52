variable "place" { type = object({ group = string, group_id = string, location = string, name = string, tags = map(string) }) }
variable "trust" { type = object({ issuer = string, subjects = map(string) }) }
variable "people" { type = map(list(string)) }
variable "protected" { type = bool }
variable "elevation" { type = object({ hours = number, days = number }) }
