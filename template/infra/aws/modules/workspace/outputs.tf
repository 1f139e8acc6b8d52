output "group" { value = one(aws_sagemaker_model_package_group.models[*].model_package_group_name) }
