"""What the API counts, for Prometheus. Labels are routes, statuses and codes of problems, never ids or tenants: they
are few."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Counts:
    """The API's metrics in one registry; a node gives its own, so that one page shows all."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "konkordat_api_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "konkordat_api_request_seconds",
            "Time from the headers of a request to its answer, without reading streams",
            registry=registry,
            buckets=SECONDS,
        )
        self.streams = Gauge("konkordat_api_streams", "Open streams", registry=registry)
        self.changes = Counter(
            "konkordat_api_stream_changes", "Changes offered to subscriptions", registry=registry
        )
        self.gaps = Counter(
            "konkordat_api_stream_gaps", "Streams closed for reading too slowly", registry=registry
        )
        self.operations = Counter(
            "konkordat_api_operations", "Operations of writes", ("result",), registry=registry
        )
        self.refusals = Counter(
            "konkordat_api_refusals",
            "Writes and orders that were refused",
            ("code",),
            registry=registry,
        )
        self._bound: dict[tuple[str, str, int], Counter] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer. `route` is the path's template, "" for none."""
        key = (method if method in METHODS else "other", route, status)
        counter = self._bound.get(key)
        if counter is None:
            counter = self._bound[key] = self._requests.labels(*map(str, key))
        counter.inc()
        self._seconds.observe(seconds)
