variable "images" { type = map(string) } # repositories to make, by key of `cloud`
variable "feed" { type = string }        # its name; empty if another environment of the account has it
variable "key" { type = string }
variable "accounts" { type = set(string) } # of environments that have their own: they pull
variable "protect" { type = bool }
