variables {
  image     = "registry.example.com:5000/example"
  job_image = "registry.example.com:5000/example-job:1"
}

run "names" {
  command = plan
  module { source = "./modules/images" }
}

run "tag" {
  command = plan
  module { source = "./modules/images" }
  variables {
    image = "registry.example.com/example:1"
  }
  expect_failures = [output.image]
}

run "latest" {
  command = plan
  module { source = "./modules/images" }
  variables {
    job_image = "registry.example.com/example-job:latest"
  }
  expect_failures = [output.job_image]
}
