variable "place" { type = object({ group = string, group_id = string, location = string, name = string, tags = map(string) }) }
variable "budget" { type = object({ amount = number, emails = list(string) }) }
