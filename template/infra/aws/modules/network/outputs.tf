output "endpoints" { value = { for service, endpoint in aws_vpc_endpoint.interface : service => endpoint.id } }
