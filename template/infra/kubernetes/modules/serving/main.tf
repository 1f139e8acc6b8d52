# The Gateway whose HTTPRoute `mlops release` writes. A chart carries it, not kubernetes_manifest: that one
# asks the cluster for the CRD while it plans, so that no plan is possible without a cluster that has it.
resource "helm_release" "gateway" {
  count     = var.owned ? 1 : 0 # or nothing answers online, or cloud.gateway_namespace has somebody else's
  name      = "gateway"
  namespace = var.namespace
  chart     = var.chart
  values = [yamlencode({
    objects = [{
      apiVersion = "gateway.networking.k8s.io/v1"
      kind       = "Gateway"
      metadata = {
        name        = var.gateway
        namespace   = var.namespace
        labels      = var.labels
        annotations = var.issuer == "" ? {} : { "cert-manager.io/issuer" = var.issuer }
      }
      spec = {
        gatewayClassName = var.class
        listeners = [{
          name     = "https" # no plain HTTP
          protocol = "HTTPS"
          port     = 443
          hostname = var.host
          tls = {
            mode            = "Terminate"
            certificateRefs = [{ kind = "Secret", name = "${var.gateway}-tls" }]
          }
          allowedRoutes = { namespaces = { from = "Same" } }
        }]
      }
    }]
  })]
}
