# What bootstrap/'s Prometheus, Alertmanager and Grafana find in this namespace. Counters are those of
# src/mlops/serve/metrics.py.
locals {
  of  = "namespace=\"${var.namespace}\""
  all = join("", ["{", local.of, "}"])
  p99 = "histogram_quantile(0.99, sum by (le) (rate(mlops_request_seconds_bucket${local.all}[5m])))"
  unusual = join(" / ignoring(field) group_left ", [
    "sum by (field) (rate(mlops_unusual_total${local.all}[1h]))",
    "sum(rate(mlops_predictions_total${local.all}[1h]))",
  ])
  errors = "sum(rate(mlops_requests_total{${local.of},status=~\"5..\"}[5m])) / sum(rate(mlops_requests_total${local.all}[5m]))"
  quota  = "max by (resource) (kube_resourcequota{${local.of},type=\"used\"} / ignoring(type) (kube_resourcequota{${local.of},type=\"hard\"} > 0))"
  alerts = {
    Errors      = ["5m", "critical", "${local.errors} > 0.01", "more than 1 % of answers are 5xx"]
    Latency     = ["10m", "warning", "${local.p99} > 1", "p99 is above a second"]
    NoTraffic   = ["30m", "warning", "sum(rate(mlops_requests_total${local.all}[30m])) == 0", "servers stand, and nobody asks"]
    Unavailable = ["5m", "critical", "sum(kube_deployment_status_replicas_available${local.all}) == 0", "no server is ready"]
    JobFailed   = ["0m", "warning", "sum(kube_job_status_failed${local.all}) > 0", "a job has failed"]
    Drift       = ["1h", "warning", "${local.unusual} > 0.1", "more than 10 % of a field's values are unlike training"]
    Quota       = ["15m", "warning", "${local.quota} > 0.9", "more than 90 % of the quota is used"]
  }
  panels = {
    "Endpoint: answers by status" = "sum by (status) (rate(mlops_requests_total${local.all}[5m]))"
    "Endpoint: servers ready"     = "sum(kube_deployment_status_replicas_available${local.all})"
    "Latency: p99"                = local.p99
    "Drift: unlike training"      = local.unusual
    "Cost: an hour"               = "mlops:cost:hour${local.all}"
    "Quota: used"                 = local.quota
    "Training jobs: active"       = "sum(kube_job_status_active${local.all})"
    "Training jobs: failed"       = "sum(kube_job_status_failed${local.all})"
  }
  objects = [
    {
      kind       = "PodMonitor"
      apiVersion = "monitoring.coreos.com/v1"
      spec = {
        selector            = { matchLabels = { "app.kubernetes.io/instance" = var.name, "app.kubernetes.io/component" = "server" } }
        podMetricsEndpoints = [{ port = "http", path = "/metrics" }]
      }
    },
    {
      kind       = "PrometheusRule"
      apiVersion = "monitoring.coreos.com/v1"
      spec = {
        groups = [{
          name = var.name
          rules = concat(var.rules, [for alert, said in local.alerts : {
            alert       = alert
            expr        = said[2]
            "for"       = said[0]
            labels      = { namespace = var.namespace, severity = said[1] }
            annotations = { summary = "${var.name}: ${said[3]}" }
          }])
        }]
      }
    },
    {
      kind       = "AlertmanagerConfig" # the stack's own settings say by which mail server
      apiVersion = "monitoring.coreos.com/v1alpha1"
      spec = {
        route     = { receiver = "team", groupBy = ["alertname"] }
        receivers = [{ name = "team", emailConfigs = [for email in var.emails : { to = email, sendResolved = true }] }]
      }
    },
  ]
}

# By a chart, as the Gateway: see modules/serving.
resource "helm_release" "monitoring" {
  name      = "monitoring"
  namespace = var.namespace
  chart     = var.chart
  values = [yamlencode({
    objects = [for object in local.objects : merge(object, {
      metadata = { name = var.name, namespace = var.namespace, labels = var.labels }
    })]
  })]
}

resource "kubernetes_config_map_v1" "dashboard" {
  metadata {
    name      = "${var.name}-dashboard"
    namespace = var.namespace
    labels    = merge(var.labels, { grafana_dashboard = "1" })
  }
  data = {
    "${var.name}.json" = jsonencode({
      title         = var.name
      uid           = var.name
      schemaVersion = 41
      time          = { from = "now-24h", to = "now" }
      panels = [for index, title in keys(local.panels) : {
        id      = index + 1
        title   = title
        type    = "timeseries"
        gridPos = { h = 8, w = 12, x = index % 2 * 12, y = floor(index / 2) * 8 }
        targets = [{ refId = "A", expr = local.panels[title] }]
      }]
    })
  }
}
