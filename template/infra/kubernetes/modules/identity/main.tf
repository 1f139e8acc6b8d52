# Who may do what. People change what is not protected, and read what is; only the pipeline changes that.
# Nobody reads a Secret. Membership of a group is the identity provider's, and its end there, too:
# Kubernetes has no binding that ends by itself.
locals {
  read = ["get", "list", "watch"]
  looks = [
    { groups = [""], resources = ["pods", "events", "services", "resourcequotas", "limitranges"], verbs = local.read },
    { groups = ["apps"], resources = ["deployments", "replicasets"], verbs = local.read },
    { groups = ["autoscaling"], resources = ["horizontalpodautoscalers"], verbs = local.read },
    { groups = ["batch"], resources = ["jobs"], verbs = local.read },
    { groups = ["gateway.networking.k8s.io"], resources = ["gateways", "httproutes"], verbs = local.read },
  ]
  logs = [{ groups = [""], resources = ["pods/log"], verbs = ["get"] }]
  jobs = [{ groups = ["batch"], resources = ["jobs"], verbs = ["create", "patch", "delete"] }]
  # All that `mlops release` and `mlops submit` do: as deploy/base/accounts.yaml says.
  releases = [
    { groups = ["apps"], resources = ["deployments"], verbs = ["get", "create", "patch", "delete"] },
    { groups = ["gateway.networking.k8s.io"], resources = ["httproutes"], verbs = ["get", "create", "patch", "delete"] },
    { groups = ["batch"], resources = ["jobs"], verbs = ["get", "create", "patch", "delete"] },
    { groups = [""], resources = ["pods"], verbs = ["list"] },
    { groups = [""], resources = ["pods/log"], verbs = ["get"] },
    { groups = [""], resources = ["pods/proxy"], verbs = ["get", "create"] },
  ]
  roles = {
    data-scientist  = concat(local.looks, local.logs, var.protected ? [] : local.jobs)
    ml-engineer     = concat(local.looks, local.logs, var.protected ? [] : local.releases)
    model-validator = concat(local.looks, local.logs)
    operator        = concat(local.looks, local.logs)
    auditor = concat(local.looks, [ # no logs: they may tell data
      { groups = ["rbac.authorization.k8s.io"], resources = ["roles", "rolebindings"], verbs = local.read },
      { groups = ["networking.k8s.io"], resources = ["networkpolicies"], verbs = local.read },
    ])
    pipeline = local.releases
  }
  subjects = merge(
    { for persona, groups in var.people : replace(persona, "_", "-") => [for group in groups : { kind = "Group", name = group }] },
    { pipeline = [{ kind = "User", name = module.trust.users[var.environment] }] },
  )
}

module "trust" {
  source       = "./trust"
  environments = [var.environment]
  ci           = var.ci
  repository   = var.repository
}

resource "kubernetes_role_v1" "this" {
  for_each = local.roles
  metadata {
    name      = "${var.name}-${each.key}"
    namespace = var.namespace
    labels    = var.labels
  }
  dynamic "rule" {
    for_each = each.value
    content {
      api_groups = rule.value.groups
      resources  = rule.value.resources
      verbs      = rule.value.verbs
    }
  }
}

resource "kubernetes_role_binding_v1" "this" {
  for_each = { for role, subjects in local.subjects : role => subjects if length(subjects) > 0 }
  metadata {
    name      = kubernetes_role_v1.this[each.key].metadata[0].name
    namespace = var.namespace
    labels    = var.labels
  }
  role_ref {
    api_group = "rbac.authorization.k8s.io"
    kind      = "Role"
    name      = kubernetes_role_v1.this[each.key].metadata[0].name
  }
  dynamic "subject" {
    for_each = each.value
    content {
      api_group = "rbac.authorization.k8s.io"
      kind      = subject.value.kind
      name      = subject.value.name
    }
  }
}
