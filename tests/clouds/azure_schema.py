"""Checks what is sent to Azure ML against its published OpenAPI description.

azure-mgmt-machinelearningservices is generated from that of 2023-04-01: its models' names, types,
required values and patterns are the description's. What came with a later version is added here.
"""

import re
from typing import Any

from azure.mgmt.machinelearningservices import models

LATER: dict[str, dict[str, str]] = {
    "CommandJob": {"queueSettings": "object", "notificationSetting": "object"},
    "JobResourceConfiguration": {"locations": "object", "maxInstanceCount": "int"},
}
PLAIN: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": bool,
    "duration": str,
    "float": (int, float),
}


def faults(kind: str, body: Any, path: str = "") -> list[str]:
    """Return what is wrong with a body, each fault with its place."""
    if not isinstance(body, dict):
        return [f"{path}: {body!r} is no object"]
    model = _model(kind, body)
    known = {one["key"].replace("\\.", "."): one["type"] for one in model._attribute_map.values()}
    known |= LATER.get(model.__name__, {})
    found = [f"{path}.{key}: unknown" for key in body if key not in known]
    for name, rule in model._validation.items():
        key = model._attribute_map[name]["key"]
        value = body.get(key)
        if value is None:
            if rule.get("required") and not rule.get("readonly"):
                found.append(f"{path}.{key}: missing")
        elif "pattern" in rule and not re.search(rule["pattern"], value):
            found.append(f"{path}.{key}: {value!r} does not match {rule['pattern']}")
    for key, value in body.items():
        if value is not None and key in known:
            found += _value(known[key], value, f"{path}.{key}")
    return found


def _model(kind: str, body: dict[str, Any]) -> Any:
    """Return the model, or that of its kinds which the body says it is."""
    model = getattr(models, kind)
    for name, kinds in vars(model).get("_subtype_map", {}).items():
        said = body.get(model._attribute_map[name]["key"])
        if said in kinds:
            return _model(kinds[said], body)
    return model


def _value(kind: str, value: Any, path: str) -> list[str]:
    if kind[0] in "[{":
        if not isinstance(value, list if kind[0] == "[" else dict):
            return [f"{path}: {value!r} is no {kind}"]
        items: Any = value.items() if isinstance(value, dict) else enumerate(value)
        inner = kind[1:-1]
        return [one for key, item in items for one in _value(inner, item, f"{path}[{key}]")]
    if kind in PLAIN:
        right = isinstance(value, PLAIN[kind]) and (kind == "bool" or not isinstance(value, bool))
        return [] if right else [f"{path}: {value!r} is no {kind}"]
    return faults(kind, value, path) if hasattr(models, kind) else []
