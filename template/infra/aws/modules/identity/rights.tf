# Who may do what, from what the code calls: rights, and who has which.
locals {
  # Where models are made, people make them. Elsewhere they look: the pipeline writes.
  deploys = ["look", "decrypt", "read", "write", "note", "pull", "push", "train", "register", "release", "feed", "replica"]
  roles = merge(
    {
      ci        = local.deploys
      execution = ["run", "decrypt", "read", "write", "pull"] # a job reads the registry, and releases nothing
      plan      = ["plan"]
      apply     = ["plan", "apply"]
      auditor   = ["look", "decrypt", "audit"]
      elevated  = local.deploys
    },
    var.open ? {
      data_scientist  = ["look", "decrypt", "read", "write", "note", "pull", "train", "register", "feed", "replica"]
      ml_engineer     = ["look", "decrypt", "read", "write", "note", "pull", "push", "train", "register", "release", "feed", "replica"]
      model_validator = ["look", "decrypt", "read", "note", "register"]
      operator        = ["look", "train", "release"]
      } : {
      data_scientist  = ["look"]
      ml_engineer     = ["look"]
      model_validator = ["look", "decrypt", "read"] # judges the very model and its data
      operator        = ["look"]
    },
  )
  people = {
    for persona, groups in merge(var.people, var.elevated_until == "" ? {} : { elevated = lookup(var.people, "operator", []) }) :
    persona => groups if length(groups) > 0
  }
  policies = {
    for role, rights in local.roles : role => jsonencode({
      Version   = "2012-10-17"
      Statement = flatten([for right in rights : [for sid, statement in local.rights[right] : merge({ Sid = sid, Effect = "Allow" }, statement)]])
    })
  }

  here      = "${var.place.region}:${var.place.account}"
  sagemaker = "arn:aws:sagemaker:${local.here}"
  bucket    = "arn:aws:s3:::${var.names.bucket}"
  state     = "${local.bucket}-state/infra/*"
  store     = "${local.bucket}/${var.place.project}"
  registry  = "arn:aws:s3:::${var.home}/${var.place.project}/registry"
  job       = "${local.sagemaker}:training-job/${trimsuffix(substr(var.place.project, 0, 20), "-")}-*" # as the code names them
  endpoint  = ["${local.sagemaker}:endpoint/${var.place.name}", "${local.sagemaker}:endpoint-config/${var.place.name}-*", "${local.sagemaker}:model/${var.place.name}-*"]
  logs      = [for group in ["Endpoints/${var.place.name}", "TrainingJobs"] : "arn:aws:logs:${local.here}:log-group:/aws/sagemaker/${group}:*"]
  written   = [for remote in [var.writes] : "arn:aws:s3:::${remote.bucket}/${remote.prefix}/*" if remote != null]
  data      = [for remote in [var.writes, var.reads] : "arn:aws:s3:::${remote.bucket}/${remote.prefix}/*" if remote != null]
  buckets   = distinct(concat([var.names.bucket, var.home], [for remote in [var.writes, var.reads] : remote.bucket if remote != null]))
  group = (
    startswith(var.names.package_group, "arn:") ? var.names.package_group : "${local.sagemaker}:model-package-group/${var.names.package_group}"
  )
  package = "${replace(lower(local.group), ":model-package-group/", ":model-package/")}/*"
  repositories = [
    for image in compact([var.names.image, var.names.job_image]) : format("arn:aws:ecr:%s:%s:repository/%s",
      regex("\\.ecr\\.([^.]+)\\.", image)[0], split(".", image)[0], regex("^[^/]+/([^:@]+)", image)[0],
    ) if can(regex("^\\d{12}\\.dkr\\.ecr\\.", image))
  ]

  # Each right is statements by their ids. "*" stands where AWS knows no resource of an action.
  rights = {
    look = { # no data, no model
      LookAtThisEnvironment = {
        Action = [
          "sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel",
          "sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup",
          "sagemaker:DescribeTrainingJob", "sagemaker:ListTags",
        ]
        Resource = concat(local.endpoint, [local.group, local.package, local.job])
      }
      ReadLogs = {
        Action   = ["logs:FilterLogEvents", "logs:GetLogEvents", "logs:DescribeLogStreams"]
        Resource = local.logs
      }
      List = {
        Action = [
          "sagemaker:ListEndpoints", "sagemaker:ListEndpointConfigs", "sagemaker:ListModels",
          "sagemaker:ListModelPackages", "sagemaker:ListTrainingJobs",
          "cloudwatch:GetMetricData", "cloudwatch:DescribeAlarms", "cloudwatch:GetDashboard", "cloudwatch:ListDashboards",
          "budgets:ViewBudget",
        ]
        Resource = ["*"]
      }
      ExamineIdentities = { # `mlops doctor` does
        Action   = ["iam:GetRole", "iam:SimulatePrincipalPolicy"]
        Resource = [var.names.role, "${local.iam}:role/${var.place.name}-*"]
      }
    }
    decrypt = {
      KeysOfTheseBuckets = {
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = ["arn:aws:kms:*:*:key/*"]
        Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = [for bucket in local.buckets : "alias/${bucket}"] } }
      }
    }
    read = {
      ReadData = {
        Action   = ["s3:GetObject"]
        Resource = distinct(concat(["${local.store}/*", "${local.registry}/*"], local.data))
      }
      ListData = { # without it a file that is not there is refused, not missing
        Action   = ["s3:ListBucket", "s3:GetBucketLocation"]
        Resource = [for bucket in local.buckets : "arn:aws:s3:::${bucket}"]
      }
    }
    write = {
      WriteData = {
        Action   = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = concat(["${local.store}/*"], local.written)
      }
    }
    note = {
      NoteInTheRegistry = { # when it was released, who found it compliant
        Action   = ["s3:PutObject"]
        Resource = ["${local.registry}/*/facts.json"]
      }
    }
    pull = {
      LogInToImages = {
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      }
      PullImages = {
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = local.repositories
      }
    }
    push = {
      PushImages = {
        Action   = ["ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"]
        Resource = local.repositories
      }
    }
    train = {
      StartJobs = {
        Action    = ["sagemaker:CreateTrainingJob", "sagemaker:AddTags"]
        Resource  = [local.job]
        Condition = { StringEquals = { "aws:RequestTag/environment" = var.place.environment } }
      }
      EndJobs = { # its own: other environments of the account have jobs of such names too
        Action    = ["sagemaker:StopTrainingJob", "sagemaker:DeleteTrainingJob"]
        Resource  = [local.job]
        Condition = { StringEquals = { "aws:ResourceTag/environment" = var.place.environment } }
      }
      HandOnTheRole = {
        Action    = ["iam:PassRole"]
        Resource  = [var.names.role]
        Condition = { StringEquals = { "iam:PassedToService" = "sagemaker.amazonaws.com" } }
      }
    }
    register = {
      RegisterAndName = { # aliases are tags of the group
        Action   = ["sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage", "sagemaker:AddTags"]
        Resource = [local.group, local.package]
      }
    }
    release = {
      Release = {
        Action = [
          "sagemaker:AddTags", "sagemaker:CreateEndpoint", "sagemaker:CreateEndpointConfig", "sagemaker:CreateModel",
          "sagemaker:DeleteEndpoint", "sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel",
          "sagemaker:InvokeEndpoint", "sagemaker:UpdateEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities",
        ]
        Resource = local.endpoint
      }
    }
    feed = {
      Packages = {
        Action = [
          "codeartifact:GetAuthorizationToken", "codeartifact:GetRepositoryEndpoint",
          "codeartifact:ReadFromRepository", "codeartifact:PublishPackageVersion", "codeartifact:PutPackageMetadata",
        ]
        Resource = [
          for kind in ["domain/${var.place.project}", "repository/${var.place.project}/${var.place.project}", "package/${var.place.project}/${var.place.project}/*"] :
          "arn:aws:codeartifact:${local.here}:${kind}"
        ]
      }
      PackagesToken = {
        Action    = ["sts:GetServiceBearerToken"]
        Resource  = ["*"]
        Condition = { StringEquals = { "sts:AWSServiceName" = "codeartifact.amazonaws.com" } }
      }
    }
    replica = {
      Replica = { # what production's pipeline has masked it hands over: nobody else has a right there
        Action   = var.place.environment == "prod" ? ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] : ["s3:GetObject"]
        Resource = ["arn:aws:s3:::${var.home}/replica/*"]
      }
    }
    audit = {
      ReadJournals = {
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = ["${local.store}/deployments/*", "${local.registry}/*/facts.json"]
      }
      ReadWhatWasDoneAndWhoMay = {
        Action = [
          "cloudtrail:LookupEvents", "iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListRoles",
          "s3:GetBucketPolicy", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "kms:GetKeyPolicy",
          "ecr:DescribeImageScanFindings", "budgets:ViewBudget",
        ]
        Resource = ["*"]
      }
    }
    run = {
      WriteLogs = { # of the account's training jobs there is one group
        Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = local.logs
      }
      WriteFigures = {
        Action    = ["cloudwatch:PutMetricData"]
        Resource  = ["*"]
        Condition = { StringLike = { "cloudwatch:namespace" = ["/aws/sagemaker/*", "mlops"] } }
      }
      ReadTheRegistry = {
        Action   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListTags"]
        Resource = [local.group, local.package]
      }
      ListTheRegistry = {
        Action   = ["sagemaker:ListModelPackages"]
        Resource = ["*"]
      }
    }
    plan = { # what is set up, no data
      ReadWhatIsSetUp = {
        Action = [
          "budgets:ViewBudget", "budgets:ListTagsForResource", "cloudwatch:DescribeAlarms",
          "cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource", "codeartifact:DescribeDomain",
          "codeartifact:DescribeRepository", "codeartifact:ListTagsForResource", "ec2:DescribePrefixLists",
          "ec2:DescribeSecurityGroups", "ec2:DescribeVpcAttribute", "ec2:DescribeVpcEndpoints",
          "ec2:DescribeVpcs", "ecr:DescribeRepositories", "ecr:GetLifecyclePolicy", "ecr:GetRepositoryPolicy",
          "ecr:ListTagsForResource", "events:DescribeRule", "events:ListTagsForResource",
          "events:ListTargetsByRule", "iam:GetOpenIDConnectProvider", "iam:GetRole", "iam:GetRolePolicy",
          "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "kms:DescribeKey", "kms:GetKeyPolicy",
          "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListResourceTags", "logs:DescribeLogGroups",
          "logs:ListTagsForResource", "s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS",
          "s3:GetBucketLogging", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketOwnershipControls",
          "s3:GetBucketPolicy", "s3:GetBucketPublicAccessBlock", "s3:GetBucketRequestPayment",
          "s3:GetBucketTagging", "s3:GetBucketVersioning", "s3:GetBucketWebsite",
          "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration",
          "s3:ListBucket", "sagemaker:DescribeModelPackageGroup", "sagemaker:GetModelPackageGroupPolicy",
          "sagemaker:ListTags", "sns:GetSubscriptionAttributes", "sns:GetTopicAttributes",
          "sns:ListTagsForResource",
        ]
        Resource = ["*"]
      }
      ReadTheState = {
        Action   = ["s3:GetObject"]
        Resource = [local.state]
      }
    }
    apply = { # all but identities, the policies of buckets and keys, and deleting data
      WriteTheState = {
        Action   = ["s3:PutObject", "s3:DeleteObject"]
        Resource = [local.state]
      }
      SetUp = {
        Action = [
          "budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource", "cloudwatch:DeleteAlarms",
          "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard", "cloudwatch:PutMetricAlarm",
          "cloudwatch:TagResource", "cloudwatch:UntagResource", "codeartifact:AssociateExternalConnection",
          "codeartifact:CreateDomain", "codeartifact:CreateRepository", "codeartifact:TagResource",
          "codeartifact:UntagResource", "codeartifact:UpdateRepository", "ecr:CreateRepository",
          "ecr:DeleteLifecyclePolicy", "ecr:DeleteRepositoryPolicy", "ecr:PutImageScanningConfiguration",
          "ecr:PutImageTagMutability", "ecr:PutLifecyclePolicy", "ecr:SetRepositoryPolicy", "ecr:TagResource",
          "ecr:UntagResource", "events:DeleteRule", "events:PutRule", "events:PutTargets",
          "events:RemoveTargets", "events:TagResource", "events:UntagResource", "logs:AssociateKmsKey",
          "logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource",
          "s3:CreateBucket", "s3:PutBucketOwnershipControls", "s3:PutBucketPublicAccessBlock",
          "s3:PutBucketTagging", "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration",
          "s3:PutLifecycleConfiguration", "sagemaker:AddTags", "sagemaker:CreateModelPackageGroup",
          "sagemaker:DeleteTags", "sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes",
          "sns:Subscribe", "sns:TagResource", "sns:Unsubscribe", "sns:UntagResource",
        ]
        Resource = concat(local.repositories, [
          local.bucket, local.group,
          "arn:aws:budgets::${var.place.account}:budget/${var.place.name}",
          "arn:aws:cloudwatch:${local.here}:alarm:${var.place.name}-*",
          "arn:aws:cloudwatch::${var.place.account}:dashboard/${var.place.name}",
          "arn:aws:codeartifact:${local.here}:domain/${var.place.project}",
          "arn:aws:codeartifact:${local.here}:repository/${var.place.project}/*",
          "arn:aws:events:${local.here}:rule/${var.place.name}-*",
          "arn:aws:logs:${local.here}:log-group:/aws/sagemaker/Endpoints/${var.place.name}:*",
          "arn:aws:sns:${local.here}:${var.place.name}-*",
        ])
      }
    }
  }
}
