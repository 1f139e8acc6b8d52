variable "place" { type = object({ name = string, project = string, environment = string, account = string, region = string }) }
variable "names" {
  type = object({ role = string, bucket = string, image = string, job_image = string, package_group = string })
}
variable "home" { type = string } # the bucket that the registry's files are in
# DVC's remotes: where the environment's data is released to, where data comes from; null if that isn't in S3.
variable "writes" { type = object({ bucket = string, prefix = string }) }
variable "reads" { type = object({ bucket = string, prefix = string }) }
variable "open" { type = bool } # people work here themselves; elsewhere only the pipeline writes
variable "repository" {
  type = object({ path = string, owner_id = string, id = string, issuer = string, subjects = map(string) })
}
variable "ci" { type = string }
variable "makes_issuer" { type = bool }        # an account has one
variable "people" { type = map(list(string)) } # permission sets by persona
variable "elevated_until" { type = string }
