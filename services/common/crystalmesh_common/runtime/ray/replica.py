"""A replica: one service's pipeline, servicers and runners inside a Serve deployment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import ray
import structlog
from grpc_health.v1 import health_pb2
from ray import serve
from ray.serve.grpc_util import RayServegRPCContext, gRPCInputStream

from crystalmesh_common.runtime.auth import token_guard
from crystalmesh_common.runtime.calls import Call
from crystalmesh_common.runtime.errors import CallCancelledError, CrystalMeshError, UnknownMethodError
from crystalmesh_common.runtime.logs import configure_logs
from crystalmesh_common.runtime.methods import Method, collect_methods
from crystalmesh_common.runtime.metrics import Metrics, serve_metrics
from crystalmesh_common.runtime.pipeline import CallPipeline
from crystalmesh_common.runtime.ray.binding import keep_replica_on_loopback
from crystalmesh_common.runtime.ray.forwarding import (
    APPLICATION_KEY,
    CALL_KEY,
    ForwardedCall,
    unknown_application,
)
from crystalmesh_common.runtime.ray.frames import Frame, error_frame, message_frame
from crystalmesh_common.runtime.ray.settings import find_service
from crystalmesh_common.runtime.settings import load_settings
from crystalmesh_common.runtime.tracing import configure_tracing

_log = structlog.get_logger(__name__)

Request = bytes | gRPCInputStream[bytes]


class Replica:
    """Hosts a service for the edge. Errors are answers: of an exception Serve would lose half."""

    async def __init__(self, service: str, *, load_first: bool = False) -> None:  # type: ignore[misc]
        """Serve awaits this, and routes calls here once it has returned.

        With `load_first` that is when the model answers; else at once, and calls are refused with
        MODEL_LOADING meanwhile.
        """
        keep_replica_on_loopback(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        definition = find_service(service)
        settings = load_settings(definition.settings, definition.name)
        configure_logs(definition.name, level=settings.log_level, form=settings.log_format)
        metrics = Metrics(definition.name)
        self._application = serve.get_replica_context().app_name
        self._hosted = definition.build(settings, metrics)
        self._methods = collect_methods(self._hosted.registrations)
        self._tracing = configure_tracing(definition.name, settings.traces_endpoint)
        self._pipeline = CallPipeline(metrics, settings.limits, token_guard(settings), self._tracing)
        self._loaded = False
        self._failed = False
        metrics_port = -1
        if settings.metrics_port >= 0:
            metrics_port = serve_metrics(metrics, settings.host, settings.metrics_port)
        _log.info("hosting", application=self._application, metrics_port=metrics_port)
        self._loading = asyncio.create_task(self._load())
        if load_first:
            await self._loading

    async def serve_unary_unary(self, request: bytes, grpc_context: RayServegRPCContext) -> Frame:
        return await self._answer(request, grpc_context)

    async def serve_stream_unary(
        self, request: gRPCInputStream[bytes], grpc_context: RayServegRPCContext
    ) -> Frame:
        return await self._answer(request, grpc_context)

    async def serve_unary_stream(
        self, request: bytes, grpc_context: RayServegRPCContext
    ) -> AsyncIterator[Frame]:
        async with aclosing(self._stream(request, grpc_context)) as frames:
            async for frame in frames:
                yield frame

    async def serve_stream_stream(
        self, request: gRPCInputStream[bytes], grpc_context: RayServegRPCContext
    ) -> AsyncIterator[Frame]:
        async with aclosing(self._stream(request, grpc_context)) as frames:
            async for frame in frames:
                yield frame

    async def serve_health(self, _: bytes) -> Frame:
        """Whether the model answers; asked by the edge, needs no token."""
        serving = self._loaded and not self._pipeline.draining
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        return message_frame(health_pb2.HealthCheckResponse(status=status).SerializeToString())

    def check_health(self) -> None:
        """Asked by Serve, which replaces a replica that raises."""
        if self._failed:
            raise RuntimeError("the model could not be loaded")

    async def __del__(self) -> None:
        """Called by Serve once the calls in flight have ended, or the time for that has."""
        self._pipeline.draining = True
        self._loading.cancel()
        for companion in self._hosted.companions:
            await companion.drain()
            await companion.stop()
        for runner in self._hosted.runners:
            await runner.stop()
        if self._tracing is not None:
            self._tracing.shutdown()
        _log.info("stopped")

    async def _load(self) -> None:
        try:
            for runner in self._hosted.runners:
                await runner.start()
            for companion in self._hosted.companions:
                await companion.start()
        except Exception as error:  # noqa: BLE001 -- whatever a model raises, this replica cannot serve
            _log.error("model_not_loaded", exc_info=error)
            self._failed = True
            return
        self._loaded = True
        _log.info("ready")

    async def _answer(self, request: Request, context: RayServegRPCContext) -> Frame:
        call = call_from(context)
        try:
            return message_frame(await self._pipeline.unary(self._method(call), _content(request), call))
        except CrystalMeshError as error:
            return error_frame(error, call.request_id)

    async def _stream(self, request: Request, context: RayServegRPCContext) -> AsyncGenerator[Frame, None]:
        call = call_from(context)
        try:
            async with aclosing(
                self._pipeline.stream(self._method(call), _content(request), call)
            ) as answers:
                async for answer in answers:
                    yield message_frame(answer)
        except CrystalMeshError as error:
            yield error_frame(error, call.request_id)

    def _method(self, call: Call) -> Method:
        asked = str(call.metadata.get(APPLICATION_KEY, self._application))
        if asked != self._application:
            # Serve gives any call to the only application there is, whatever its name.
            raise unknown_application(asked)
        if call.method not in self._methods:
            hosted = ", ".join(sorted({method.service for method in self._methods.values()}))
            raise UnknownMethodError(f"{asked} hosts no method {call.method}", hosted=hosted)
        return self._methods[call.method]


def call_from(context: RayServegRPCContext) -> Call:
    """The call that the edge put into Serve's metadata."""
    metadata: dict[str, Any] = dict(context.invocation_metadata())
    call: ForwardedCall = metadata[CALL_KEY]
    deadline = None if call.seconds is None else time.monotonic() + call.seconds
    return Call(call.method, call.metadata, call.peer, deadline)


def _content(request: Request) -> bytes | AsyncIterator[bytes]:
    return request if isinstance(request, bytes) else _messages(request)


async def _messages(requests: gRPCInputStream[bytes]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request
    if requests.is_cancelled():
        raise CallCancelledError("the stream of requests broke off")
