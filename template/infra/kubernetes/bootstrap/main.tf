# What an administrator of the cluster makes once for each environment, so that its pipeline can do the
# rest: the namespaces, and the pipeline's rights in them, which end there: `make infra-bootstrap ENV=dev`.
# Its own state stays with the administrator, a workspace for each environment. What it trusts is for the
# keeper of the API server (--authentication-config, or a managed cluster's own setting for it):
#
#   TF_WORKSPACE=dev terraform -chdir=infra/kubernetes/bootstrap output -raw authentication
locals {
  settings = yamldecode(file("${path.root}/../../../environments/${var.environment}.yaml"))
  cloud    = merge({ context = "" }, local.settings.cloud)
  state    = "${local.cloud.namespace}-state"
  labels = { for key, value in {
    "app.kubernetes.io/managed-by" = "terraform"
    project                        = var.project
    environment                    = var.environment
    owner                          = var.owner
    cost-centre                    = var.cost_centre
    data-class                     = var.data_class
    compliance                     = var.compliance
  } : key => replace(value, "/[^A-Za-z0-9._-]+/", "-") }
  read   = ["get", "list", "watch"]
  change = ["get", "list", "watch", "create", "update", "patch", "delete"]
  # A role can be given only by who holds all that it allows: these are those of modules/identity, too.
  apply = {
    (local.cloud.namespace) = [
      { groups = [""], resources = ["configmaps", "limitranges", "resourcequotas", "serviceaccounts", "services"], verbs = local.change },
      { groups = [""], resources = ["pods", "events"], verbs = local.read },
      { groups = [""], resources = ["pods/log"], verbs = ["get"] },
      { groups = [""], resources = ["pods/proxy"], verbs = ["get", "create"] },
      { groups = ["apps"], resources = ["deployments"], verbs = local.change },
      { groups = ["apps"], resources = ["replicasets"], verbs = local.read },
      { groups = ["autoscaling"], resources = ["horizontalpodautoscalers"], verbs = local.change },
      { groups = ["batch"], resources = ["jobs"], verbs = local.change },
      { groups = ["gateway.networking.k8s.io"], resources = ["gateways", "httproutes"], verbs = local.change },
      { groups = ["monitoring.coreos.com"], resources = ["alertmanagerconfigs", "podmonitors", "prometheusrules"], verbs = local.change },
      { groups = ["networking.k8s.io"], resources = ["networkpolicies"], verbs = local.change },
      { groups = ["policy"], resources = ["poddisruptionbudgets"], verbs = local.change },
      { groups = ["rbac.authorization.k8s.io"], resources = ["roles", "rolebindings"], verbs = local.change },
    ]
    (local.state) = [
      { groups = [""], resources = ["secrets"], verbs = local.change },
      { groups = ["coordination.k8s.io"], resources = ["leases"], verbs = local.change },
    ]
  }
  # A plan looks at what there is, also for a pull request, whose jobs are dev's: nobody has approved it.
  # It takes no lock, and sees no logs: they may tell data.
  plan = { for namespace, rules in local.apply : namespace => [
    for rule in rules : merge(rule, { verbs = local.read })
    if length(setintersection(rule.resources, ["pods/log", "pods/proxy"])) == 0
  ] }
  users = {
    apply = [var.environment]
    plan  = distinct([var.environment, "dev"])
  }
  roles = merge([for identity, rights in { apply = local.apply, plan = local.plan } : {
    for namespace, rules in rights : "${identity} ${namespace}" => { name = identity, namespace = namespace, rules = rules }
  }]...)
}

provider "kubernetes" {
  config_context = local.cloud.context == "" ? null : local.cloud.context
}

provider "helm" {
  kubernetes = {
    config_context = local.cloud.context == "" ? null : local.cloud.context
  }
}

module "trust" {
  source       = "../modules/identity/trust"
  environments = local.users.plan
  ci           = var.ci
  repository   = var.repository
}

resource "kubernetes_namespace_v1" "environment" {
  metadata {
    name = local.cloud.namespace
    labels = merge(local.labels, {
      "pod-security.kubernetes.io/enforce" = "restricted"
    })
  }
}

resource "kubernetes_namespace_v1" "state" {
  metadata {
    name   = local.state
    labels = local.labels
  }
  lifecycle {
    prevent_destroy = true # the switch: delete this line to delete the state with it
  }
}

resource "kubernetes_role_v1" "pipeline" {
  for_each = local.roles
  metadata {
    name      = "infra-${each.value.name}"
    namespace = each.value.namespace
    labels    = local.labels
  }
  dynamic "rule" {
    for_each = each.value.rules
    content {
      api_groups = rule.value.groups
      resources  = rule.value.resources
      verbs      = rule.value.verbs
    }
  }
  depends_on = [kubernetes_namespace_v1.environment, kubernetes_namespace_v1.state]
}

resource "kubernetes_role_binding_v1" "pipeline" {
  for_each = local.roles
  metadata {
    name      = kubernetes_role_v1.pipeline[each.key].metadata[0].name
    namespace = each.value.namespace
    labels    = local.labels
  }
  role_ref {
    api_group = "rbac.authorization.k8s.io"
    kind      = "Role"
    name      = kubernetes_role_v1.pipeline[each.key].metadata[0].name
  }
  dynamic "subject" {
    for_each = local.users[each.value.name]
    content {
      api_group = "rbac.authorization.k8s.io"
      kind      = "User"
      name      = module.trust.users[subject.value]
    }
  }
}

# The cluster's own tools, where nobody else has installed them: once for each cluster.
resource "helm_release" "monitoring" {
  count            = var.install.monitoring ? 1 : 0
  name             = "monitoring"
  namespace        = var.network.monitoring_namespace
  create_namespace = true
  repository       = "https://prometheus-community.github.io/helm-charts"
  chart            = "kube-prometheus-stack"
  version          = "76.5.1"
  values = [yamlencode({
    prometheus = { prometheusSpec = {
      retention                               = "31d" # a month's cost is summed up
      podMonitorSelectorNilUsesHelmValues     = false # those of all namespaces
      ruleSelectorNilUsesHelmValues           = false
      serviceMonitorSelectorNilUsesHelmValues = false
    } }
    alertmanager = { alertmanagerSpec = { alertmanagerConfigSelector = {}, alertmanagerConfigNamespaceSelector = {} } }
    grafana      = { sidecar = { dashboards = { searchNamespace = "ALL" } } }
  })]
}

resource "helm_release" "argo_cd" {
  count            = var.install.argo_cd ? 1 : 0
  name             = "argo-cd"
  namespace        = "argocd"
  create_namespace = true
  repository       = "https://argoproj.github.io/argo-helm"
  chart            = "argo-cd"
  version          = "7.7.14"
}
