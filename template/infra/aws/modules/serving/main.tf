# The endpoint, its variants and its weights are a release's: `mlops release` makes and changes them, and
# Terraform would set them back. What stands before and after is where the endpoint's servers print.
resource "aws_cloudwatch_log_group" "endpoint" {
  name              = "/aws/sagemaker/Endpoints/${var.place.name}"
  retention_in_days = var.retention
  kms_key_id        = var.key
}

# Who asks the model takes up this role: another account's can, too, and no key changes hands.
resource "aws_iam_role" "caller" {
  count       = length(var.callers) > 0 ? 1 : 0
  name        = "${var.place.name}-caller"
  description = "May call ${var.place.name}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { AWS = var.callers }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "caller" {
  count = length(var.callers) > 0 ? 1 : 0
  name  = "call"
  role  = aws_iam_role.caller[0].name
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["sagemaker:InvokeEndpoint"], Resource = ["arn:aws:sagemaker:${var.place.region}:${var.place.account}:endpoint/${var.place.name}"] }]
  })
}
