"""What Prometheus reads: names and meanings of all metrics, in one place.

Names follow Prometheus' conventions (https://prometheus.io/docs/practices/naming/): base units, `_total` for counts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from garrison.serving.metrics.tally import BUCKETS, Tally

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Reading(msgspec.Struct, frozen=True):
    """A value that a part of the guard knows at the moment."""

    name: str
    """Without the prefix `garrison_`."""
    value: float
    labels: Mapping[str, str] = {}
    help: str = ""
    total: bool = False
    """Whether it only ever grows."""


Readings = Callable[[], Iterable[Reading]]


class Exposition:
    """Makes Prometheus' text of a tally, and of what other parts know at the moment."""

    def __init__(self, tally: Tally, readings: Iterable[Readings] = ()) -> None:
        from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

        self._tally = tally
        self.readings = list(readings)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics and their media type, in the version that the `accept` header prefers."""
        from prometheus_client.exposition import choose_encoder

        encoder, media_type = choose_encoder(accept)
        return encoder(self._registry), media_type

    def collect(self) -> "Iterator[Metric]":
        """As Prometheus' client asks its collectors."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        tally = self._tally
        yield _counter(
            "requests", "Calls that ended, by how.", ("model", "action", "transport", "outcome"), dict(tally.requests)
        )
        seconds = HistogramMetricFamily(
            "garrison_request_seconds", "From the head of the request to the record.", labels=("model", "action")
        )
        for labels, counts in list(tally.durations.items()):
            running = list(accumulate(counts[:-1]))
            bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
            seconds.add_metric(labels, list(zip(bounds, running, strict=True)), counts[-1])
        yield seconds
        yield _counter("marks", "What stages noticed in calls, by rule.", ("model", "rule"), dict(tally.marks))
        yield _counter(
            "degraded", "Calls that went on without a stage.", ("stage",), {(k,): v for k, v in tally.degraded.items()}
        )
        yield _counter(
            "failures", "Failures of parts of the guard.", ("part",), {(k,): v for k, v in tally.failures.items()}
        )
        yield _counter(
            "incidents", "Incidents that were reported.", ("rule", "severity", "model"), dict(tally.incidents)
        )
        yield GaugeMetricFamily("garrison_start_seconds", "When the guard began, since 1970.", value=tally.started)
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for reading in (one for source in self.readings for one in source()):
            family = families.get(reading.name)
            if family is None:
                made = CounterMetricFamily if reading.total else GaugeMetricFamily
                name = f"garrison_{reading.name}"
                family = families[reading.name] = made(name, reading.help or reading.name, labels=tuple(reading.labels))
            family.add_metric(tuple(reading.labels.values()), reading.value)
        yield from families.values()


def _counter(name: str, help: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> "Metric":
    from prometheus_client.metrics_core import CounterMetricFamily

    family = CounterMetricFamily(f"garrison_{name}", help, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
