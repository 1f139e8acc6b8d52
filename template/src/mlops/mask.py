"""Masks of columns: what the schema's ``metadata={"mask": ...}`` does to their values.

``hash``: texts and whole numbers. A pseudonym of the same form, by HMAC-SHA-256; the same value has
the same one wherever it stands, so that joins hold.
``noise``: numbers. Moved, by about a tenth of the column's standard deviation.
``drop``: anything. Every value becomes the column's ``example``, which is nobody's.

Nulls stay. The other columns may still tell who is meant: masked data is not for everybody.
"""

import hashlib
import hmac
import math
import string
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from .errors import MlopsError

ATTEMPTS = 100
NOISE = 0.1

Frames = Mapping[str, pd.DataFrame]
Domain = tuple[int, int] | None  # of pseudonyms: numbers from and to; None: texts


def masks(columns: Mapping[str, Any]) -> dict[str, str]:
    """Return the mask of each column (pandera's) that has one.

    Raises:
        MlopsError: a mask is unknown, a personal column has none, or no column has one.
    """
    found: dict[str, str] = {}
    for name, column in columns.items():
        metadata = column.metadata or {}
        if "mask" not in metadata and not metadata.get("personal"):
            continue
        how = metadata.get("mask")
        if how not in ("hash", "noise", "drop"):
            raise MlopsError(f'schema: {name}: mask is {how!r}: give "hash", "noise" or "drop".')
        if how == "drop" and "example" not in metadata:
            raise MlopsError(f"schema: {name}: drop needs an example that is nobody's.")
        found[name] = how
    if not found:
        raise MlopsError('schema: no column has a mask, such as metadata={"mask": "hash"}.')
    return found


def mask(frames: Frames, columns: Mapping[str, Any], key: bytes) -> dict[str, pd.DataFrame]:
    """Return frames, by name, masked as the schema's ``columns`` say: same columns, types, nulls.

    Raises:
        MlopsError: a column is not in the schema, or is not what its mask takes.
    """
    how = masks(columns)
    for name, frame in frames.items():
        _refuse(name, frame, columns, how)
    pseudonyms = _pseudonyms(
        [
            (values, columns[name])
            for frame in frames.values()
            for name, values in frame.items()
            if how.get(name) == "hash"
        ],
        key,
    )

    def masked(frame: str, name: str, values: Any) -> Any:
        if how.get(name) == "hash":
            found = pseudonyms[_domain(values, columns[name])]
            return values.map(found, na_action="ignore").astype(values.dtype)
        if how.get(name) == "noise":
            return _noise(values, _limits(columns[name]), _mac(key, f"{frame}\0{name}"))
        if how.get(name) == "drop":
            return values.where(values.isna(), columns[name].metadata["example"])
        return values

    made = {}
    for frame, old in frames.items():
        # A new one: the old one's attributes and index would be written with it.
        series = old.reset_index(drop=True).items()
        made[frame] = pd.DataFrame({name: masked(frame, name, values) for name, values in series})
    return made


def _refuse(name: str, frame: Any, columns: Mapping[str, Any], how: dict[str, str]) -> None:
    if stray := sorted(set(frame.columns) - set(columns)):
        raise MlopsError(f"{name}: {', '.join(stray)}: not in the schema, which tells masks.")
    for column in filter(how.__contains__, frame):
        dtype, known = frame[column].dtype, frame[column].dropna()
        whole = types.is_integer_dtype(dtype)
        fits = {
            "hash": whole or types.is_string_dtype(known),
            "noise": whole or types.is_float_dtype(dtype),
            "drop": True,
        }
        # A category's dtype keeps the values that no row has any more.
        if isinstance(dtype, pd.CategoricalDtype) or not fits[how[column]]:
            raise MlopsError(
                f"{name}: {column}: {how[column]} does not take {dtype}: hash takes texts and "
                "whole numbers, noise numbers, drop all but categories."
            )


def _pseudonyms(series: list[tuple[Any, Any]], key: bytes) -> dict[Domain, dict[Any, Any]]:
    """Return each value's pseudonym, by domain: none is a value, and no two have the same."""
    domains: dict[Domain, set[Any]] = {}
    names: dict[Domain, str] = {}
    for values, column in series:
        domain = _domain(values, column)
        domains.setdefault(domain, set()).update(values.dropna().unique().tolist())
        names[domain] = column.name
    found: dict[Domain, dict[Any, Any]] = {}
    for domain, values in domains.items():
        taken, made = set(values), found.setdefault(domain, {})
        for value in sorted(values):
            if isinstance(value, str) and not any(map(str.isalnum, value)):
                made[value] = value  # an empty text, or a dash: nobody's
                continue
            drawn = (_draw(value, domain, _mac(key, f"{n}\0{value}")) for n in range(ATTEMPTS))
            pseudonym = next((one for one in drawn if one not in taken), None)
            if pseudonym is None:
                raise MlopsError(
                    f"schema: {names[domain]}: too few pseudonyms of this form: widen its limits, "
                    "or give it another mask."
                )
            made[value] = pseudonym
            taken.add(pseudonym)
    return found


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _domain(values: Any, column: Any) -> Domain:
    if not types.is_integer_dtype(values.dtype):
        return None
    low, high = _limits(column)
    largest = np.iinfo(getattr(values.dtype, "numpy_dtype", values.dtype)).max
    return (0 if math.isinf(low) else math.ceil(low), int(min(high, largest)))


def _limits(column: Any) -> tuple[float, float]:
    rules: dict[str, Any] = {}
    for check in column.checks:
        rules |= check.statistics
    return rules.get("min_value", -math.inf), rules.get("max_value", math.inf)


def _draw(value: Any, domain: Domain, seed: bytes) -> Any:
    """Return a number of the domain, or a text with a letter, a digit, where ``value`` has one."""
    if domain:
        return domain[0] + int.from_bytes(seed) % (domain[1] - domain[0] + 1)
    stream = hashlib.shake_256(seed).digest(len(value))
    return "".join(map(_character, value, stream))


def _character(old: str, byte: int) -> str:
    if not old.isalnum():
        return old
    alike = string.ascii_lowercase if old.isalpha() else string.digits
    alike = string.ascii_uppercase if old.isupper() else alike
    return alike[byte % len(alike)]


def _noise(values: Any, limits: tuple[float, float], seed: bytes) -> Any:
    """Return numbers moved, to the other side where they would pass a limit."""
    rng = np.random.default_rng(int.from_bytes(seed))
    known = values.to_numpy(dtype=float, na_value=np.nan)
    spread = float(np.nanstd(known)) if np.isfinite(known).any() else 0.0
    step = rng.normal(0, NOISE * (spread or 1.0), len(known))
    if types.is_integer_dtype(values.dtype):
        step = np.copysign(np.maximum(np.abs(step).round(), 1), step)  # every one moves
    moved = known + step
    outside = (moved < limits[0]) | (moved > limits[1])
    moved = pd.Series(np.where(outside, known - step, moved), index=values.index)
    return moved.mask(values.isna()).astype(values.dtype)
