"""OpenTelemetry spans around calls. Costs nothing where no collector is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crystalmesh_common.runtime.settings import SettingsError
from crystalmesh_common.runtime.statuses import as_reportable

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter


class Tracing:
    """Starts one span per call, as child of the caller's span where the caller sent one."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._provider = provider
        self._tracer = provider.get_tracer("crystalmesh")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def server_span(
        self, method: str, metadata: Mapping[str, str | bytes], request_id: str
    ) -> Iterator[None]:
        """A span of kind SERVER for one call, current in its task; an exception inside marks it as failed."""
        from opentelemetry.context import attach  # noqa: PLC0415
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context  # noqa: PLC0415

        carrier = {key: value for key, value in metadata.items() if isinstance(value, str)}
        service, name = method.strip("/").rsplit("/", 1)
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": name,
            "crystalmesh.request_id": request_id,
        }
        parent = self._propagator.extract(carrier)
        span = self._tracer.start_span(method.strip("/"), parent, SpanKind.SERVER, attributes)
        # Never detached: the task is the call's own, and a stream that its reader left is closed by another.
        attach(set_span_in_context(span, parent))
        try:
            yield
        except Exception as error:
            # The message of an exception may quote the request; the reason is enough.
            span.set_status(Status(StatusCode.ERROR, as_reportable(error).reason))
            raise
        finally:
            span.end()

    def shutdown(self) -> None:
        """Send what is still buffered."""
        self._provider.shutdown()


def configure_tracing(
    service: str, endpoint: str | None, exporter: SpanExporter | None = None
) -> Tracing | None:
    """Tracing to the OTLP collector at `endpoint` (or into `exporter`); None where neither is given."""
    if endpoint is None and exporter is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            "traces_endpoint needs the extra `tracing`: pip install crystalmesh[tracing]"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": f"crystalmesh-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter(endpoint=endpoint)))
    return Tracing(provider)
