output "caller" { value = one(aws_iam_role.caller[*].arn) }
