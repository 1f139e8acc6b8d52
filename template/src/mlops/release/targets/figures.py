"""Counters in Prometheus' form, and what they grew by. What is not there is never made up."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from ..traffic import Slot
from .base import Histogram, Window

Series = tuple[str, tuple[tuple[str, str], ...]]  # name and labels
Counters = Mapping[Series, float]
Figures = Mapping[str, Counters | None]  # by process; None: it did not tell


def read(text: str) -> dict[Series, float]:
    """Return the samples of an exposition; every counter's name ends in ``_total``."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def grown(now: Figures, since: Figures, source: str) -> dict[Series, float] | None:
    """Return what a process counted; None where it did not tell, now or then.

    One that was not there before began at nothing, and so did one whose counters fell: it was
    started again.
    """
    after, before = now.get(source), since.get(source, {})
    if after is None or before is None:
        return None
    fell = any(
        value < before.get(series, 0.0) for series, value in after.items() if _rises(series[0])
    )
    return dict(after) if fell else {s: value - before.get(s, 0.0) for s, value in after.items()}


def window(slot: Slot, envoy: Counters, replicas: Sequence[Counters]) -> Window:
    """Return what a slot did, by the counters of Envoy and of its replicas."""
    mine = {
        series: value
        for series, value in envoy.items()
        if ("envoy_cluster_name", slot) in series[1]
    }
    return own(replicas).model_copy(
        update={
            "requests": int(_sum("envoy_cluster_upstream_rq_completed_total", [mine])),
            "errors": int(
                sum(
                    value
                    for labels, value in _named("envoy_cluster_upstream_rq_xx_total", [mine])
                    if labels["envoy_response_code_class"] == "5"
                )
            ),
            "latency": _histogram("envoy_cluster_upstream_rq_time_bucket", [mine]),
        }
    )


def own(replicas: Sequence[Counters]) -> Window:
    """Return what a slot did, by its replicas alone: nothing of requests that reached none."""
    versions: dict[str, int] = {}
    for labels, value in _named("mlops_predictions_total", replicas):
        versions[labels["version"]] = versions.get(labels["version"], 0) + int(value)
    statuses = list(_named("mlops_requests_total", replicas))
    seconds = _histogram("mlops_request_seconds_bucket", replicas)
    return Window(
        requests=int(sum(value for _, value in statuses)),
        errors=int(sum(value for labels, value in statuses if labels["status"] >= "500")),
        latency=Histogram(edges=[1000 * edge for edge in seconds.edges], counts=seconds.counts),
        predictions=_histogram("mlops_prediction_bucket", replicas),
        versions={version: count for version, count in versions.items() if count},
        outcomes=int(_sum("mlops_feedback_total", replicas)),
        total=_sum("mlops_feedback_sum", replicas),
        squares=_sum("mlops_feedback_squares", replicas),
    )


def _rises(name: str) -> bool:
    """Tell whether a number never falls; a sum of outcomes may."""
    return name.endswith(("_total", "_bucket"))


def _named(name: str, sources: Iterable[Counters]) -> Iterable[tuple[dict[str, str], float]]:
    for counters in sources:
        for (found, labels), value in counters.items():
            if found == name:
                yield dict(labels), value


def _sum(name: str, sources: Iterable[Counters]) -> float:
    return sum(value for _, value in _named(name, sources))


def _histogram(name: str, sources: Iterable[Counters]) -> Histogram:
    """Return the sum of histograms; Prometheus' buckets hold those below them as well."""
    reached: dict[float, float] = {}
    for labels, value in _named(name, sources):
        edge = float(labels["le"])
        reached[edge] = reached.get(edge, 0.0) + value
    edges = sorted(reached)
    cumulative = [0.0, *(reached[edge] for edge in edges)]
    counts = [above - below for below, above in pairwise(cumulative)]
    return Histogram(edges=edges[:-1], counts=counts)
