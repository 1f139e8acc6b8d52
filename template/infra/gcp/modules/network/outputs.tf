output "subnet" {
  description = "Where a machine of the team's own is put."
  value       = google_compute_subnetwork.this.id
}
