# Nobody reaches the team's machines.

mock_provider "google" {}

variables {
  name    = "flights-prod"
  region  = "europe-west4"
  network = { cidr = "10.20.0.0/24" }
}

run "closed" {
  module {
    source = "./modules/network"
  }
  assert {
    condition     = !google_compute_network.this.auto_create_subnetworks && google_compute_subnetwork.this.private_ip_google_access
    error_message = "There are other subnets, or Google's services are out of reach."
  }
  assert {
    condition     = length(google_compute_firewall.ingress.allow) == 0 && one(google_compute_firewall.ingress.deny).protocol == "all"
    error_message = "Somebody is let in."
  }
}

run "no_range" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    network = { cidr = "10.20.0.0" }
  }
  expect_failures = [var.network]
}
