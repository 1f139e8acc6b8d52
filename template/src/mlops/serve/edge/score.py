"""Answers records on a device, as the server would; handed all it needs, it imports no package."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

FLOAT32 = 3.4028234663852886e38
INTEGER = 2**53
RULES = ("kind", "choices", "pattern", "minimum", "maximum", "nullable")
TYPES = {"text": (str,), "integer": (int, float), "number": (int, float)}


def answers(
    lines: Iterable[str], contract: dict[str, Any], predict: Callable[[Any], Any], version: int
) -> Iterator[dict[str, Any]]:
    """Yield an answer for each line: prediction and version, or what is wrong with the record.

    Args:
        lines: a record each, in JSON.
        contract: contract.json.
        predict: the model: columns to predictions.
        version: of the model.
    """
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError as error:
            yield {"errors": [f"no JSON: {error}"], "version": str(version)}
            continue
        if wrong := faults(contract, record):
            yield {"errors": wrong, "version": str(version)}
            continue
        prediction = predict({name: [value] for name, value in record.items()})[0]
        if math.isfinite(prediction.sum()):
            yield {"prediction": prediction.tolist(), "version": str(version)}
        else:
            yield {"errors": ["no prediction for these values"], "version": str(version)}


def faults(contract: dict[str, Any], record: Any) -> list[str]:
    """Return how a record breaks the contract."""
    if not isinstance(record, dict):
        return ["no object"]
    fields = {field["name"]: field for field in contract["fields"]}
    found = [f"{name} is no known field" for name in record.keys() - fields.keys()]
    for name, field in fields.items():
        if name not in record:
            found.append(f"{name} is missing")
        elif not _kept(field, record[name]):
            rules = {key: field[key] for key in RULES if field[key] is not None}
            found.append(f"{name} is {record[name]!r:.60}: give {json.dumps(rules)}")
    return sorted(found)


def _kept(field: dict[str, Any], value: Any) -> bool:
    if value is None:
        return bool(field["nullable"])
    if type(value) not in TYPES[field["kind"]]:
        return False
    if field["choices"]:
        return value in field["choices"]
    if field["kind"] == "text":
        # The server's expressions end at the end, Python's before a last line break as well.
        return bool(re.search(re.sub(r"(?<!\\)\$$", r"\\Z", field["pattern"] or ""), value))
    whole = field["kind"] == "integer"
    widest = INTEGER if whole else FLOAT32
    low = -widest if field["minimum"] is None else max(field["minimum"], -widest)
    high = widest if field["maximum"] is None else min(field["maximum"], widest)
    return bool(low <= value <= high) and not (whole and value % 1)
