# A cluster sends no bill: cost is what is asked for, hour by hour, times what its owner charges. The quota
# keeps a month below the budget; the alarms tell of it on the way.
locals {
  hours   = 730 # of a month
  ceiling = local.hours * (var.sizes.cpu * var.prices.cpu + var.sizes.memory * var.prices.memory + var.sizes.gpus * var.prices.gpu)
  asked   = "kube_pod_container_resource_requests{namespace=\"${var.namespace}\",resource=\"%s\"}"
  hourly = join(" + ", [for one in [
    ["cpu", var.prices.cpu], ["memory", var.prices.memory / pow(1024, 3)], ["nvidia_com_gpu", var.prices.gpu]
  ] : "${one[1]} * (sum(${format(local.asked, one[0])}) or vector(0))"])
}
