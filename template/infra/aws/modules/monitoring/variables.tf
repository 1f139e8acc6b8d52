variable "place" { type = object({ name = string, project = string, environment = string, account = string, region = string }) }
variable "bucket" { type = string }  # whose size is shown
variable "machine" { type = string } # whose quota is watched
variable "group" { type = string }   # the model package group whose versions are told of
variable "key" { type = string }
variable "alerts" { type = object({ latency_ms = number, errors = number, silence = number, drift = number }) }
variable "emails" { type = list(string) }
