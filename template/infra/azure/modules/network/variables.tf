variable "place" { type = object({ group = string, group_id = string, location = string, name = string, tags = map(string) }) }
variable "cidr" { type = string }
variable "targets" {
  type        = map(object({ id = string, zones = list(string) }))
  description = "What gets a private endpoint, by the name that Private Link gives it."
}
