mock_provider "aws" { source = "./tests/mocks" }

variables {
  place = { name = "example-dev", region = "eu-west-1" }
}

run "nothing_unless_asked" {
  module { source = "./modules/network" }
  variables { network = { private = false, id = "", subnets = [], routes = [] } }

  assert {
    condition     = length(aws_vpc_endpoint.interface) + length(aws_vpc_endpoint.s3) + length(aws_security_group.services) == 0
    error_message = "A network that nobody asked for has entrances, which cost by the hour."
  }
}

run "entrances_for_https_from_the_vpc" {
  module { source = "./modules/network" }
  variables { network = { private = true, id = "vpc-1", subnets = ["subnet-1"], routes = ["rtb-1"] } }

  assert {
    condition     = alltrue([for service in ["sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr", "logs", "sts"] : contains(keys(output.endpoints), service)])
    error_message = "A service that the code calls has no entrance."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.https[0].to_port == 443 && aws_vpc_security_group_ingress_rule.https[0].cidr_ipv4 == "10.0.0.0/16"
    error_message = "The entrances let in more than HTTPS from the VPC."
  }
}
