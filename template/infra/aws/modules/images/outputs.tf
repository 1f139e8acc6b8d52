output "repositories" { value = { for key, repository in aws_ecr_repository.images : key => repository.name } }
output "feed" { value = one(aws_codeartifact_repository.feed[*].repository) }
