# The services' own entrances into a VPC that is there, for who calls from inside: agents, applications.
locals {
  services = var.network.private ? toset([
    "sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr", "logs", "monitoring", "sts", "kms",
  ]) : toset([])
}

data "aws_vpc" "given" {
  count = var.network.private ? 1 : 0
  id    = var.network.id
}

resource "aws_security_group" "services" {
  count       = var.network.private ? 1 : 0
  name        = "${var.place.name}-services"
  description = "HTTPS from within the VPC"
  vpc_id      = var.network.id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  count             = var.network.private ? 1 : 0
  security_group_id = aws_security_group.services[0].id
  description       = "HTTPS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = data.aws_vpc.given[0].cidr_block
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = local.services
  vpc_id              = var.network.id
  service_name        = "com.amazonaws.${var.place.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = var.network.subnets
  security_group_ids  = [aws_security_group.services[0].id]
  private_dns_enabled = true
}

resource "aws_vpc_endpoint" "s3" {
  count           = var.network.private ? 1 : 0
  vpc_id          = var.network.id
  service_name    = "com.amazonaws.${var.place.region}.s3"
  route_table_ids = var.network.routes
}
