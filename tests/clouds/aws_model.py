"""What botocore's service model says of a request beyond what boto3 itself checks."""

import re
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape


@cache
def service(name: str) -> Any:
    """Return a service's model."""
    return botocore.session.get_session().get_service_model(name)


def faults(name: str, operation: str, request: dict[str, Any]) -> list[str]:
    """Return what the service would refuse of a request: lengths, patterns, enumerations, names."""
    return _faults(service(name).operation_model(operation).input_shape, request, operation)


def _faults(shape: Shape, value: Any, where: str) -> list[str]:
    if shape.type_name == "structure":
        return _structure(shape, value, where)
    if shape.type_name == "list":
        found = [fault for one in value for fault in _faults(shape.member, one, where)]
        return found + _size(shape, len(value), where)
    if shape.type_name == "map":
        found = [fault for one in value for fault in _faults(shape.key, one, f"{where} key")]
        found += [
            fault for key in value for fault in _faults(shape.value, value[key], f"{where}.{key}")
        ]
        return found + _size(shape, len(value), where)
    if shape.type_name == "string":
        return _string(shape, value, where)
    return _size(shape, value, where) if isinstance(value, int | float) else []


def _structure(shape: Any, value: dict[str, Any], where: str) -> list[str]:
    found = [f"{where}.{name} is missing" for name in shape.required_members if name not in value]
    for name, one in value.items():
        if name not in shape.members:
            found.append(f"{where}.{name} is unknown")
        else:
            found += _faults(shape.members[name], one, f"{where}.{name}")
    return found


def _string(shape: Any, value: str, where: str) -> list[str]:
    if shape.enum and value not in shape.enum:
        return [f"{where}: {value!r} is none of its values"]
    pattern = shape.metadata.get("pattern")
    if pattern and not _expression(pattern).fullmatch(value):
        return [f"{where}: {value!r} does not match {pattern}"]
    return _size(shape, len(value), where)


def _size(shape: Any, size: float, where: str) -> list[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        return [f"{where}: {size} is not from {low} to {high}"]
    return []


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    pattern = re.sub(r"\$\{\d+,\d+\}$", "", pattern)  # a length, as the model writes some
    pattern = pattern.replace(r"\p{L}\p{Z}\p{N}", r"\w\s").replace(r"\p{M}", "")
    pattern = pattern.replace(r"\p{L}", r"\w").replace(r"\p{Z}", r"\s").replace(r"\p{N}", r"\d")
    pattern = pattern.replace(r"\p{S}", r"$+<>=^`|~").replace(r"\p{P}", r"\-!-/:-@{-~_\[\]\\")
    return re.compile(pattern)
