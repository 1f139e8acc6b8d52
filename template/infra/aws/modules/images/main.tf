# Container images, and the feed of the team's packages. Environments that share an account share both.
resource "aws_ecr_repository" "images" {
  #checkov:skip=CKV_AWS_51: only the image that jobs run in is pushed again under its tag, as uv.lock changes
  for_each             = var.images
  name                 = each.value
  image_tag_mutability = each.key == "image" ? "IMMUTABLE" : "MUTABLE" # a version is built once
  force_delete         = !var.protect
  image_scanning_configuration { scan_on_push = true }
  encryption_configuration { encryption_type = "KMS" } # AWS's key: a peer account can't use ours to pull
}

resource "aws_ecr_lifecycle_policy" "images" {
  for_each   = var.images
  repository = aws_ecr_repository.images[each.key].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "what no tag names any more"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 30 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_ecr_repository_policy" "peers" {
  for_each   = length(var.accounts) > 0 ? var.images : {}
  repository = aws_ecr_repository.images[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OtherEnvironmentsPull"
      Effect    = "Allow"
      Principal = { AWS = [for account in var.accounts : "arn:aws:iam::${account}:root"] }
      Action    = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    }]
  })
}

resource "aws_codeartifact_domain" "feed" {
  count          = var.feed == "" ? 0 : 1
  domain         = var.feed
  encryption_key = var.key
}

# What is not the team's comes from PyPI through the feed, which keeps a copy.
resource "aws_codeartifact_repository" "public" {
  count       = var.feed == "" ? 0 : 1
  domain      = aws_codeartifact_domain.feed[0].domain
  repository  = "${var.feed}-pypi"
  description = "PyPI's packages, as they were first asked for"
  external_connections { external_connection_name = "public:pypi" }
}

resource "aws_codeartifact_repository" "feed" {
  count       = var.feed == "" ? 0 : 1
  domain      = aws_codeartifact_domain.feed[0].domain
  repository  = var.feed
  description = "The team's packages"
  upstream { repository_name = aws_codeartifact_repository.public[0].repository }
}
