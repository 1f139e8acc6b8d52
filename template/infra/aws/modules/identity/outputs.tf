output "ci" { value = aws_iam_role.pipeline["ci"].arn }
output "execution" { value = "${local.iam}:role${aws_iam_role.execution.path}${aws_iam_role.execution.name}" }
output "people" { value = { for name, role in aws_iam_role.people : name => role.arn } }
output "issuer" { value = one(aws_iam_openid_connect_provider.ci[*].url) }

# Roles that may write data, by name: a policy that names them waits for none.
output "writers" {
  value = concat(
    [var.names.role, "${local.iam}:role/${var.place.name}-ci"],
    [for persona in keys(local.people) : "${local.iam}:role/${var.place.name}-${replace(persona, "_", "-")}" if var.open || persona == "elevated"],
  )
}
