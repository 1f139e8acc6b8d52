"""What a server counts, in Prometheus' form. Plain numbers: a count costs no lock or look-up."""

import math
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..contract import Contract, edges

# Ten a decade, so that two versions' p99 compare.
SECONDS = [float(f"{10 ** (step / 10):.3g}") for step in range(-40, 16)]
LAG = [1.0, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400]


class Histogram:
    """Counts up to and including each of the upper edges, and above them all."""

    def __init__(self, edges: list[float]) -> None:
        self.edges, self.counts, self.total = edges, [0] * (len(edges) + 1), 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return Prometheus' buckets: each holds those before it."""
        found, reached = [], 0
        for edge, count in zip([*self.edges, math.inf], self.counts, strict=True):
            reached += count
            found.append(("+Inf" if edge == math.inf else repr(edge), float(reached)))
        return found


class Usual:
    """Finds in a record, and its prediction, what training has not seen.

    Of a personal field, the contract does not tell what is usual.
    """

    def __init__(self, contract: Contract) -> None:
        told = [field for field in contract.fields if not field.personal]
        self._texts = [(f.name, {*f.usual}) for f in told if f.kind == "text"]
        self._numbers = [(f.name, *f.usual) for f in told if f.kind != "text"]
        self._lowest, self._highest = contract.quantiles[0], contract.quantiles[-1]

    def misses(self, record: Mapping[str, Any], prediction: float) -> list[str]:
        """Return the names of what is unusual; ``prediction`` is one of them."""
        found = [
            name
            for name, low, high in self._numbers
            if (value := record[name]) is not None and not low <= value <= high
        ]
        for name, known in self._texts:
            if record[name] not in known and record[name] is not None:
                found.append(name)
        if not self._lowest <= prediction <= self._highest:
            found.append("prediction")
        return found


class Metrics(Collector):
    """All counts of one server. Requests are those for predictions."""

    def __init__(self, contract: Contract, version: str, digest: str) -> None:
        self.version, self.digest = version, digest
        self.requests: Counter[int] = Counter()
        self.seconds = Histogram(SECONDS)
        self.predictions = Histogram(edges(contract.task))
        self.unusual = Counter(dict.fromkeys([*contract.example, "prediction"], 0))
        self.missing = Counter({field.name: 0 for field in contract.fields if field.nullable})
        self.outcomes = Histogram([])
        self.squares = 0.0
        self.lag = Histogram(LAG)
        self.dropped = 0
        self._lock = threading.Lock()  # large batches are predicted in threads
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def answered(self, status: int, seconds: float) -> None:
        """Count a request's answer."""
        self.requests[status] += 1
        self.seconds.add(seconds)

    def predicted(
        self,
        records: Iterable[Mapping[str, Any]],
        values: Iterable[float],
        unusual: list[list[str]],
    ) -> None:
        """Count predictions, what was unusual about each, and what was missing."""
        with self._lock:
            for value in values:
                self.predictions.add(value)
            for names in unusual:
                for name in names:
                    self.unusual[name] += 1
            for record in records:
                for name in self.missing:
                    if record[name] is None:
                        self.missing[name] += 1

    def happened(self, outcome: float) -> None:
        """Count feedback on this version."""
        self.outcomes.add(outcome)
        self.squares += outcome**2

    def drop(self, rows: int) -> None:
        """Count rows that could not be captured."""
        with self._lock:
            self.dropped += rows

    def text(self) -> bytes:
        """Return all metrics, the process' own included."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics: prometheus_client calls this."""
        mine = {"version": self.version}
        yield _counts("mlops_requests", "Requests by status", "status", self.requests)
        yield _histogram("mlops_request_seconds", "Time to the answer", self.seconds, {})
        made = {self.version: sum(self.predictions.counts)}
        yield _counts("mlops_predictions", "Predictions", "version", made)
        yield _histogram("mlops_prediction", "Their distribution", self.predictions, mine)
        yield _counts("mlops_unusual", "Unlike training", "field", self.unusual)
        yield _counts("mlops_missing", "Nulls", "field", self.missing)
        received = {self.version: self.outcomes.counts[0]}
        yield _counts("mlops_feedback", "Outcomes received", "version", received)
        for name, value in (("sum", self.outcomes.total), ("squares", self.squares)):
            family = GaugeMetricFamily(f"mlops_feedback_{name}", "Of outcomes", labels=["version"])
            family.add_metric([self.version], value)
            yield family
        yield _histogram("mlops_feedback_lag_seconds", "Prediction to outcome", self.lag, {})
        yield CounterMetricFamily("mlops_capture_dropped", "Rows not captured", self.dropped)
        yield InfoMetricFamily("mlops_model", "What answers", {**mine, "digest": self.digest})


def _counts(name: str, text: str, label: str, counts: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in counts.copy().items() if isinstance(counts, Counter) else counts.items():
        family.add_metric([str(key)], count)
    return family


def _histogram(name: str, text: str, counts: Histogram, labels: dict[str, str]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=list(labels))
    family.add_metric(list(labels.values()), counts.buckets(), counts.total)
    return family
