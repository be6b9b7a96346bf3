from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from crystalmesh_client.connection import Connection, Credentials
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.pipeline import CallPipeline
from crystalmesh_common.runtime.settings import Limits, ServiceSettings
from crystalmesh_common.runtime.standalone import PipelineHandler, StandaloneServer
from crystalmesh_common.runtime.tracing import configure_tracing
from tests.common.runtime.hosting import SERVICE, STREAM, UNARY, Levers, methods_of
from tests.conftest import eventually


class Traced:
    """A traced server, a client of it and the spans that it has ended."""

    def __init__(self) -> None:
        self.servicer = Levers()
        self._exporter = InMemorySpanExporter()
        tracing = configure_tracing("relaxation", None, self._exporter)
        assert tracing is not None
        self.tracing = tracing
        self.pipeline = CallPipeline(Metrics("test"), Limits(), None, tracing)
        handler = PipelineHandler(self.pipeline, methods_of(self.servicer))
        self.server = StandaloneServer(ServiceSettings(drain_seconds=0), None, handler)

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        connection = Connection(f"127.0.0.1:{self.server.port}", Credentials())
        self.metadata = lambda: connection.metadata("relaxation")
        async with connection.async_channel("relaxation") as channel:
            yield channel

    def spans(self) -> list[ReadableSpan]:
        self.tracing._provider.force_flush()
        return list(self._exporter.get_finished_spans())


@pytest.fixture
async def traced() -> AsyncIterator[Traced]:
    """A traced server that listens."""
    started = Traced()
    await started.server.start()
    yield started
    await started.server.stop(started.pipeline)
    started.tracing.shutdown()


async def test_the_servers_span_continues_the_clients_trace(traced: Traced) -> None:
    """A span of kind SERVER for the call is the child of the span in which the client called."""
    provider = TracerProvider()
    async with traced.channel() as channel:
        with provider.get_tracer("test").start_as_current_span("campaign") as ours:
            metadata = traced.metadata()
            await channel.unary_unary(UNARY)(b"", metadata=metadata)
    (span,) = traced.spans()
    assert span.parent is not None
    assert span.context.trace_id == ours.get_span_context().trace_id
    assert span.parent.span_id == ours.get_span_context().span_id
    assert (span.name, span.kind) == (UNARY.strip("/"), SpanKind.SERVER)
    assert span.resource.attributes["service.name"] == "crystalmesh-relaxation"
    assert dict(span.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": SERVICE,
        "rpc.method": "ListModels",
        "crystalmesh.request_id": dict(metadata)["x-request-id"],
    }
    provider.shutdown()


async def test_without_a_clients_span_the_server_begins_a_trace(traced: Traced) -> None:
    """A caller that does not trace gets a span of its own, also when its trace header is nonsense."""
    async with traced.channel() as channel:
        await channel.unary_unary(UNARY)(b"")
        await channel.unary_unary(UNARY)(b"", metadata=(("traceparent", "nonsense"),))
    assert [span.parent for span in traced.spans()] == [None, None]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.InvalidCrystalError("secret of the caller"), "INVALID_CRYSTAL"),
        (ZeroDivisionError("secret of ours"), "INTERNAL"),
    ],
)
async def test_a_failed_call_marks_its_span_with_the_reason_alone(
    traced: Traced, error: Exception, reason: str
) -> None:
    """The span is failed and tells the reason, and neither message nor trace of the exception."""
    traced.servicer.raises = error
    async with traced.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary(UNARY)(b"")
    (span,) = traced.spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, reason)
    assert not span.events
    assert "secret" not in span.to_json()


async def test_a_stream_that_its_caller_leaves_still_ends_its_span(
    traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    """A cancelled stream, blocked on a reader that is gone, ends its span without an error in the log."""
    traced.servicer.count, traced.servicer.padding = 10_000, "x" * 10_000
    async with traced.channel() as channel:
        stream = channel.unary_stream(STREAM)(b"")
        await stream.read()
        stream.cancel()
        await eventually(lambda: traced.pipeline._in_flight == 0, "nothing is in flight")
    assert len(traced.spans()) == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_without_a_collector_there_is_no_tracing() -> None:
    """No endpoint, no tracing, no cost."""
    assert configure_tracing("relaxation", None) is None
