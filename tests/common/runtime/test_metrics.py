from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from crystalmesh_common.runtime.metrics import Metrics, serve_metrics

# What dashboards and alerts ask for. A name here is a promise.
DOCUMENTED = {
    "crystalmesh_requests": ("counter", {"service", "method", "code"}),
    "crystalmesh_request_seconds": ("histogram", {"service", "method"}),
    "crystalmesh_refusals": ("counter", {"service", "reason"}),
    "crystalmesh_item_failures": ("counter", {"service", "reason"}),
    "crystalmesh_calls_in_flight": ("gauge", {"service"}),
    "crystalmesh_queued_calls": ("gauge", {"service"}),
    "crystalmesh_queued_items": ("gauge", {"service"}),
    "crystalmesh_ready": ("gauge", {"service"}),
    "crystalmesh_batch_items": ("histogram", {"service"}),
    "crystalmesh_batch_seconds": ("histogram", {"service"}),
}


def test_metrics_have_the_documented_names_types_and_labels() -> None:
    """Each documented metric is there under its name, type and labels, and no other of ours."""
    metrics = Metrics("test")
    metrics.requests.labels("s", "m", "OK").inc()
    metrics.request_seconds.labels("s", "m").observe(0.1)
    metrics.call_failed("QUEUE_FULL")
    metrics.item_failed("UNREADABLE_CRYSTAL")
    found = {
        family.name: (family.type, {label for s in family.samples for label in s.labels} - {"le"})
        for family in metrics.registry.collect()
        if family.name.startswith("crystalmesh_")
    }
    assert found == DOCUMENTED


def test_every_metric_is_described_and_none_brings_its_start_time() -> None:
    """Each has a help text, and there are no `_created` series."""
    families = list(Metrics("test").registry.collect())
    assert all(family.documentation for family in families)
    assert not [s.name for family in families for s in family.samples if s.name.endswith("_created")]


def test_two_services_of_one_process_do_not_share_metrics() -> None:
    """Each Metrics has a registry of its own, with its own service label."""
    first, second = Metrics("first"), Metrics("second")
    first.ready.set(1)
    assert first.registry.get_sample_value("crystalmesh_ready", {"service": "first"}) == 1
    assert second.registry.get_sample_value("crystalmesh_ready", {"service": "second"}) == 0


def test_metrics_are_served_over_http() -> None:
    """GET /metrics on the given port answers in Prometheus' text format, process metrics included."""
    metrics = Metrics("test")
    port = serve_metrics(metrics, "127.0.0.1", 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        names = {family.name for family in text_string_to_metric_families(page.read().decode())}
    assert {"crystalmesh_ready", "process_resident_memory_bytes"} <= names
