"""What a data version looks like, in numbers: the baseline that later data is held against."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon

BINS = 10
CATEGORIES = 100

Profile = dict[str, dict[str, Any]]


def profile(records: pd.DataFrame) -> Profile:
    """Return each column's nulls and distribution.

    Numbers are counted in bins between their deciles, everything else by value (the most frequent
    ``CATEGORIES`` of them, the rest together).
    """
    return {name: _column(records[name]) for name in records.columns}


def skew(reference: Profile, records: pd.DataFrame) -> dict[str, float]:
    """Return each column's Jensen-Shannon distance to ``reference``: 0 is the same, 1 disjoint.

    Source: Endres and Schindelin, "A new metric for probability distributions", IEEE Transactions
    on Information Theory 49 (2003); base 2. A null counts as a value of its own.
    """
    return {
        name: _distance(reference[name], records[name])
        for name in records.columns
        if name in reference
    }


def _column(values: pd.Series) -> dict[str, Any]:
    known = values.dropna()
    column: dict[str, Any] = {"rows": len(values), "nulls": int(values.isna().sum())}
    if pd.api.types.is_numeric_dtype(values):
        quantiles = np.quantile(known, np.linspace(0, 1, BINS + 1)) if len(known) else [0.0]
        column["edges"] = [float(edge) for edge in np.unique(quantiles)[1:-1]]
        column["counts"] = _histogram(known, column["edges"])
        summary = {"mean": known.mean(), "std": known.std(), "min": known.min(), "max": known.max()}
        column |= {key: round(float(number), 6) for key, number in summary.items() if len(known)}
    else:
        counts = known.astype(str).value_counts().sort_index(kind="stable")
        top = counts.sort_values(ascending=False, kind="stable")
        column["values"] = {str(key): int(number) for key, number in top[:CATEGORIES].items()}
        column["other"] = int(top[CATEGORIES:].sum())
    return column


def _histogram(known: pd.Series, edges: list[float]) -> list[int]:
    bins = np.digitize(known.to_numpy(dtype=float), edges)
    return [int(count) for count in np.bincount(bins, minlength=len(edges) + 1)]


def _distance(reference: dict[str, Any], values: pd.Series) -> float:
    known = values.dropna()
    if "edges" in reference:
        numbers = pd.to_numeric(known, errors="coerce").dropna()
        before, now = reference["counts"], _histogram(numbers, reference["edges"])
    else:
        counts = known.astype(str).value_counts()
        names = list(reference["values"])
        before = [*reference["values"].values(), reference["other"]]
        now = [int(counts.get(name, 0)) for name in names]
        now.append(len(known) - sum(now))
    before, now = [*before, reference["nulls"]], [*now, int(values.isna().sum())]
    if not sum(before) or not sum(now):
        return 1.0
    return round(float(np.nan_to_num(jensenshannon(before, now, base=2))), 4)
