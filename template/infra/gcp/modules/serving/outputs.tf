output "endpoint" {
  description = "The endpoint that a release makes: its id and where requests go."
  value = {
    id  = var.name
    url = "https://${var.region}-aiplatform.googleapis.com/v1/projects/${var.project}/locations/${var.region}/endpoints/${var.name}:rawPredict"
  }
}
