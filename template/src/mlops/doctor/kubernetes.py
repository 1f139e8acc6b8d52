"""Kubernetes: whose login it is, what it may do in the namespace, the quota and its alarms."""

from typing import Any

import yaml

from ..cloud import kubernetes as cluster
from ..cloud.base import CloudError
from ..cloud.kubernetes import Cloud
from . import Finding, fault, lacks, ok

ROLE = "base/accounts.yaml"  # in deploy/: what a release may
RULES = ("monitoring.coreos.com", "v1")  # of Prometheus's operator
RIGHTS = {"budget": "list on resourcequotas, get on prometheusrules"}  # what it takes to look


def login(cloud: Cloud, environment: str) -> Finding:
    """Does the cluster of the context know this login?"""
    from kubernetes.client import AuthenticationV1Api, V1SelfSubjectReview

    ask = AuthenticationV1Api(cloud.client()).create_self_subject_review
    who = _asked(cloud, ask, V1SelfSubjectReview()).status.user_info.username
    if who == "system:anonymous":
        return fault("the cluster knows nobody by this login", "Log in to the cluster again.")
    return ok(f"{who}, by {cloud.context or 'the current context'}")


def roles(cloud: Cloud, environment: str) -> Finding:
    """May this login do all that the Role of a release allows?"""
    from kubernetes.client import AuthorizationV1Api

    ask = AuthorizationV1Api(cloud.client()).create_self_subject_access_review
    text = (cluster.DEPLOY / ROLE).read_text(encoding="utf-8")
    missing = []
    for rule in (rule for one in yaml.safe_load_all(text) for rule in one.get("rules", [])):
        for resource, verb in ((one, verb) for one in rule["resources"] for verb in rule["verbs"]):
            kind, _, part = resource.partition("/")
            wanted = {"group": rule["apiGroups"][0], "resource": kind, "subresource": part}
            wanted |= {"namespace": cloud.namespace, "verb": verb}
            review = _asked(cloud, ask, {"spec": {"resourceAttributes": wanted}})
            missing += [] if review.status.allowed else [f"{verb} {resource}"]
    if missing:
        fix = f"`kubectl apply -k deploy/overlays/{environment}`, and be in the group that deploy/"
        return fault(
            f"this login may not {', '.join(missing)} in {cloud.namespace}",
            f"{fix}{ROLE} names; or release from the pipeline.",
        )
    return ok(f"all of deploy/{ROLE} in {cloud.namespace}")


def budget(cloud: Cloud, environment: str) -> Finding:
    """Is what the namespace may ask for limited, and are there alarms of its cost?"""
    from kubernetes.client import CoreV1Api, CustomObjectsApi

    api, space = cloud.client(), cloud.namespace
    if not _asked(cloud, CoreV1Api(api).list_namespaced_resource_quota, space).items:
        return lacks(f"ResourceQuota in {space}", environment)
    get = CustomObjectsApi(api).get_namespaced_custom_object
    try:
        _asked(cloud, get, *RULES, space, "prometheusrules", cloud.name)
    except CloudError as error:
        if getattr(error.__cause__, "status", None) == 404:
            return lacks(f"PrometheusRule {cloud.name} (alarms of cost) in {space}", environment)
        raise
    return ok(f"a quota, and alarms of its cost ({cloud.name})")


def denied(error: BaseException | None) -> bool:
    """Tell whether a look was refused."""
    return getattr(error, "status", None) == 403


def _asked(cloud: Cloud, call: Any, *values: Any) -> Any:
    """Return the answer to a call of the official client."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return call(*values, _request_timeout=cluster.TIMEOUT)
    except (ApiException, HTTPError) as error:
        raise cloud.refusal(error, cloud._environment) from error
