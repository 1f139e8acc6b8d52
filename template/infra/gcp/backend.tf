# The bucket is bootstrap's, one for each environment; it locks by itself:
#   terraform init -backend-config=bucket=<cloud.bucket>-state
terraform {
  backend "gcs" {
    prefix = "infra"
  }
}
