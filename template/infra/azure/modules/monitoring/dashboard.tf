# The dashboard: a workbook, each panel a line of this table. `metric` is CATEGORY-NAME of Azure Monitor.
locals {
  sum     = 1
  highest = 3
  average = 4

  panels = [
    { title = "Endpoint: requests a minute, by status", of = "endpoint", metric = "Traffic-RequestsPerMinute", as = local.average, by = "statusCodeClass" },
    { title = "Endpoint: latency, p95 in ms", of = "endpoint", metric = "Traffic-RequestLatency_P95", as = local.average, by = "deployment" },
    { title = "Training: jobs completed", of = "workspace", metric = "Run-Completed Runs", as = local.sum, by = "" },
    { title = "Training: jobs failed", of = "workspace", metric = "Run-Failed Runs", as = local.sum, by = "" },
    { title = "Compute: nodes at work", of = "workspace", metric = "Quota-Active Nodes", as = local.highest, by = "ClusterName" },
    { title = "Quota: share in use, GPUs too", of = "workspace", metric = "Quota-Quota Utilization Percentage", as = local.highest, by = "VmFamilyName" },
    { title = "Storage: bytes", of = "storage", metric = "Capacity-UsedCapacity", as = local.average, by = "" },
    { title = "Storage: transactions", of = "storage", metric = "Transaction-Transactions", as = local.sum, by = "ResponseType" },
  ]

  charts = [for panel in local.panels : {
    type = 10
    name = panel.title
    content = {
      version      = "MetricsItem/2.0"
      chartType    = 2 # lines
      size         = 1
      title        = panel.title
      resourceType = local.drawn[panel.of].type
      metricScope  = 0
      resourceIds  = [local.drawn[panel.of].id]
      timeContext  = { durationMs = 86400000 }
      metrics = [{
        namespace   = local.drawn[panel.of].type
        metric      = "${local.drawn[panel.of].type}-${panel.metric}"
        aggregation = panel.as
        splitBy     = panel.by == "" ? null : panel.by
      }]
    }
  }]
  drawn = {
    endpoint  = { id = "${var.ml_workspace}/onlineEndpoints/${var.endpoint}", type = "microsoft.machinelearningservices/workspaces/onlineendpoints" }
    workspace = { id = var.ml_workspace, type = "microsoft.machinelearningservices/workspaces" }
    storage   = { id = var.storage_id, type = "microsoft.storage/storageaccounts" }
  }

  # Drift is the model's own metric: a line once a server or a job sends one whose name starts with it.
  drift = {
    type = 3
    name = "Drift"
    content = {
      version                 = "KqlItem/1.0"
      title                   = "Drift, by feature"
      query                   = "AppMetrics | where Name startswith 'drift' | summarize max(Max) by bin(TimeGenerated, 1h), Name | render timechart"
      size                    = 1
      queryType               = 0
      resourceType            = "microsoft.operationalinsights/workspaces"
      crossComponentResources = [azurerm_log_analytics_workspace.this.id]
      timeContext             = { durationMs = 604800000 }
      noDataMessage           = "No metric of this name has been sent."
    }
  }
  cost = {
    type = 3
    name = "Cost"
    content = {
      version   = "KqlItem/1.0"
      title     = "Cost: this month, of the budget"
      queryType = 12 # a GET of Resource Manager
      size      = 1
      query = jsonencode({
        version   = "ARMEndpoint/1.0"
        method    = "GET"
        path      = var.budget_id
        urlParams = [{ key = "api-version", value = "2023-05-01" }]
        transformers = [{
          type = "jsonpath"
          settings = { columns = [
            { path = "$.properties.currentSpend.amount", columnid = "spent" },
            { path = "$.properties.amount", columnid = "budget" },
            { path = "$.properties.currentSpend.unit", columnid = "currency" },
          ] }
        }]
      })
    }
  }
}

resource "azurerm_application_insights_workbook" "this" {
  name                = uuidv5("url", var.place.group_id) # Azure wants a UUID: always the same one
  display_name        = "${var.place.name}: model in service"
  resource_group_name = var.place.group
  location            = var.place.location
  tags                = var.place.tags

  data_json = jsonencode({
    version = "Notebook/1.0"
    items   = concat(local.charts, [local.drift, local.cost])
  })
}
