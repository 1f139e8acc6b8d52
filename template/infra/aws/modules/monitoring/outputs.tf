output "topic" { value = aws_sns_topic.told["alerts"].arn }
output "events" { value = aws_sns_topic.told["events"].arn }
