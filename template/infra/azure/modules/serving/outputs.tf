output "endpoint" { value = var.endpoint }
output "endpoint_ids" { value = local.endpoints }
