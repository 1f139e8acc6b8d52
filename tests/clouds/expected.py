"""The platform's calls that change something, in order: a release by each strategy, and its end.

Written from what was seen, and read for sense. The champion is up in blue; version 2 is released by
steps of 20 and 50 %.
"""

Table = dict[str, dict[str, list[str]]]

# SageMaker: which variants there are, and what is mirrored, is a configuration, of which the one
# before is deleted; shares are weights. Whose slot is whose, and what is sticky, are tags.
_CONFIGURED = ["CreateEndpointConfig", "UpdateEndpoint", "DeleteEndpointConfig"]
_WEIGHTS, _TAGS = "UpdateEndpointWeightsAndCapacities", "AddTags"
_AWS = ["CreateModel", *_CONFIGURED]
_AWS_GONE = [*_CONFIGURED, "DeleteModel"]

# Vertex AI: a deployed model without a share of the traffic can't be asked, so a second endpoint
# stands for as long as the questions take. Shares and labels are fields of the endpoint.
_GCP = ["UploadModel", "DeployModel", "CreateEndpoint", "DeployModel"]
_GCP += ["UndeployModel", "DeleteEndpoint"]
_GCP_GONE = ["UpdateEndpoint", "UndeployModel", "DeleteModel"]

# Azure ML: shares, mirror and tags are one endpoint's, which is written whole.
_AZURE, _PUT = ["environments.PUT", "onlineDeployments.PUT"], "onlineEndpoints.PUT"

# Kubernetes: a slot is a Deployment; shares, mirror and whose slot is whose are one HTTPRoute's.
_POD, _ROUTE = "apply Deployment", "apply HTTPRoute"

CALLS: Table = {
    "aws": {
        "rolling": [*_AWS, *[_WEIGHTS] * 4, _TAGS],
        "blue-green": [*_AWS, _WEIGHTS, _TAGS],
        "canary": [*_AWS, *[_WEIGHTS] * 3, _TAGS],
        "ab": [*_AWS, _WEIGHTS, _TAGS, _WEIGHTS, _TAGS, _TAGS],
        "shadow": [*_AWS, *_CONFIGURED * 2, _TAGS],
    },
    "gcp": {
        "rolling": [*_GCP, *["UpdateEndpoint"] * 5],
        "blue-green": [*_GCP, *["UpdateEndpoint"] * 2],
        "canary": [*_GCP, *["UpdateEndpoint"] * 4],
        "ab": [*_GCP, *["UpdateEndpoint"] * 3],
    },
    "azure": {
        "rolling": [*_AZURE, *[_PUT] * 5],
        "blue-green": [*_AZURE, *[_PUT] * 2],
        "canary": [*_AZURE, *[_PUT] * 4],
        "ab": [*_AZURE, *[_PUT] * 3],
        "shadow": [*_AZURE, *[_PUT] * 3],
    },
    "kubernetes": {
        "rolling": [_POD, *[_ROUTE] * 5],
        "blue-green": [_POD, *[_ROUTE] * 2],
        "canary": [_POD, *[_ROUTE] * 4],
        "ab": [_POD, *[_ROUTE] * 3],
        "shadow": [_POD, *[_ROUTE] * 3],
    },
}
ABORTS: Table = {
    "aws": {
        "rolling": [_WEIGHTS, *_AWS_GONE],
        "blue-green": [_WEIGHTS, *_AWS_GONE],
        "canary": [_WEIGHTS, *_AWS_GONE],
        "ab": [_WEIGHTS, _TAGS, *_AWS_GONE],
        "shadow": [*_CONFIGURED, *_AWS_GONE],
    },
    "gcp": {strategy: _GCP_GONE for strategy in CALLS["gcp"]},
    "azure": {strategy: [_PUT, "onlineDeployments.DELETE"] for strategy in CALLS["azure"]},
    "kubernetes": {strategy: [_ROUTE, "delete Deployment"] for strategy in CALLS["kubernetes"]},
}
