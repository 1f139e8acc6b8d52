output "bucket" { value = aws_s3_bucket.data.bucket }
output "key" { value = aws_kms_key.main.arn }
