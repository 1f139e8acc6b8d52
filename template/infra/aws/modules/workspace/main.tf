# SageMaker has no workspace to make: jobs and endpoints start in the account, on machines that are there
# for as long as they run. What stands is the model registry. Deleting it deletes no version: AWS refuses
# a group that has any.
resource "aws_sagemaker_model_package_group" "models" {
  count                           = var.group == "" ? 0 : 1
  model_package_group_name        = var.group
  model_package_group_description = "Versions of the model; aliases are tags"
}

resource "aws_sagemaker_model_package_group_policy" "peers" {
  count                    = var.group != "" && length(var.accounts) > 0 ? 1 : 0
  model_package_group_name = aws_sagemaker_model_package_group.models[0].model_package_group_name
  resource_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OtherEnvironments"
      Effect    = "Allow"
      Principal = { AWS = [for account in var.accounts : "arn:aws:iam::${account}:root"] }
      Action = [
        "sagemaker:DescribeModelPackageGroup", "sagemaker:DescribeModelPackage",
        "sagemaker:ListModelPackages", "sagemaker:UpdateModelPackage",
      ]
      Resource = [
        "arn:aws:sagemaker:${var.place.region}:${var.place.account}:model-package-group/${var.group}",
        "arn:aws:sagemaker:${var.place.region}:${var.place.account}:model-package/${lower(var.group)}/*",
      ]
    }]
  })
}
