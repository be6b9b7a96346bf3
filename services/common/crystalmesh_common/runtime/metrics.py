"""What operators watch, as Prometheus metrics. Names and labels are documented in docs/operations.md."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_LATENCY_BUCKETS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    300,
)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one service process, in a registry of their own."""

    def __init__(self, service: str) -> None:
        # Otherwise every series brings a second one with its start time, which nobody looks at.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.service = service
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "crystalmesh_requests_total",
            "Calls ended, by gRPC code.",
            ["service", "method", "code"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "crystalmesh_request_seconds",
            "Time from arrival of a call to its end.",
            ["service", "method"],
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.refusals = Counter(
            "crystalmesh_refusals_total",
            "Calls that failed whole, by reason.",
            ["service", "reason"],
            registry=self.registry,
        )
        self.item_failures = Counter(
            "crystalmesh_item_failures_total",
            "Items of calls that have an error for an outcome, by reason.",
            ["service", "reason"],
            registry=self.registry,
        )
        self.calls_in_flight = self._gauge("crystalmesh_calls_in_flight", "Calls being served.", service)
        self.queued_calls = self._gauge("crystalmesh_queued_calls", "Calls with items in the queue.", service)
        self.queued_items = self._gauge("crystalmesh_queued_items", "Items waiting for the device.", service)
        self.ready = self._gauge("crystalmesh_ready", "1 once the model answers.", service)
        self.batch_items = self._histogram(
            "crystalmesh_batch_items", "Items in a batch.", _BATCH_BUCKETS, service
        )
        self.batch_seconds = self._histogram(
            "crystalmesh_batch_seconds", "Time of a batch on the device.", _LATENCY_BUCKETS, service
        )

    def item_failed(self, reason: str) -> None:
        """Count an item whose outcome is an error."""
        self.item_failures.labels(self.service, reason).inc()

    def call_failed(self, reason: str) -> None:
        """Count a call that failed whole."""
        self.refusals.labels(self.service, reason).inc()

    def _gauge(self, name: str, help_text: str, service: str) -> Gauge:
        return Gauge(name, help_text, ["service"], registry=self.registry).labels(service)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...], service: str) -> Histogram:
        return Histogram(name, help_text, ["service"], buckets=buckets, registry=self.registry).labels(
            service
        )


def serve_metrics(metrics: Metrics, host: str, port: int) -> int:
    """Answer GET /metrics from a background thread; returns the port."""
    server, _ = start_http_server(port, addr=host, registry=metrics.registry)
    return int(server.server_port)
