variables {
  bucket       = "example-dev"
  endpoint_url = "https://storage.example.com"
  others       = ["example-prod"]
}

run "own_bucket" {
  command = plan
  module { source = "./modules/storage" }
}

run "bucket_of_prod" {
  command = plan
  module { source = "./modules/storage" }
  variables {
    bucket = "example-prod"
  }
  expect_failures = [output.bucket]
}

run "plain_http" {
  command = plan
  module { source = "./modules/storage" }
  variables {
    endpoint_url = "http://storage.example.com"
  }
  expect_failures = [output.endpoint_url]
}
