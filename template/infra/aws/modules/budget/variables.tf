variable "place" { type = object({ name = string, environment = string, account = string }) }
variable "shared" { type = bool } # other environments are in the account too
variable "budget" { type = object({ amount = number, currency = string, emails = list(string) }) }
variable "topic" { type = string } # of alerts
