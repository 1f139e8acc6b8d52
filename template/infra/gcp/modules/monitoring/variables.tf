variable "project" {
  description = "The project's id."
  type        = string
}

variable "endpoint" {
  description = "The endpoint that is watched."
  type        = object({ id = string })
}

variable "bucket" {
  description = "The bucket whose size is shown."
  type        = string
}

variable "emails" {
  description = "Who is told."
  type        = list(string)
}

variable "alerts" {
  description = "p99 in milliseconds, and seconds without a request (0: never)."
  type        = object({ latency_ms = number, silence = number })
  validation {
    condition     = var.alerts.silence % 60 == 0 && var.alerts.silence <= 84600
    error_message = "alerts.silence is ${var.alerts.silence}: whole minutes, at most 84600 seconds (Google's limit)."
  }
}

variable "labels" {
  description = "Labels of each alert."
  type        = map(string)
}
