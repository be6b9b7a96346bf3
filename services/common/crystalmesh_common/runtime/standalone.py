"""The standalone transport: one grpc.aio server in this process, every call through the pipeline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import grpc

from crystalmesh_common.runtime.addresses import with_port
from crystalmesh_common.runtime.calls import Call
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.methods import AddToServer, Method
from crystalmesh_common.runtime.pipeline import CallPipeline
from crystalmesh_common.runtime.settings import ServiceSettings, SettingsError
from crystalmesh_common.runtime.statuses import REQUEST_ID_KEY, short_message, trailing_metadata

# A message a little over the limit still arrives, so that it is refused with a reason; far beyond it
# gRPC's core refuses by itself, before the bytes are in memory.
_TRANSPORT_MARGIN = 1.25


class AioContext(Protocol):
    """What we use of grpc.aio's servicer context."""

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]]: ...
    def peer(self) -> str: ...
    def time_remaining(self) -> float | None: ...
    def set_trailing_metadata(self, metadata: tuple[tuple[str, str | bytes], ...]) -> None: ...
    def abort(self, code: grpc.StatusCode, details: str, metadata: Any) -> Awaitable[None]: ...


class PipelineHandler(grpc.GenericRpcHandler):
    """Finds the method of a call and gives its bytes to the pipeline."""

    def __init__(self, pipeline: CallPipeline, methods: Mapping[str, Method]) -> None:
        self._pipeline = pipeline
        self._handlers = {name: self._handler(method) for name, method in methods.items()}
        self._hosted = ", ".join(sorted({method.service for method in methods.values()}))

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of the called method; one that answers UNIMPLEMENTED where there is none."""
        return self._handlers.get(details.method) or self.unknown(details.method)

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
        if method.response_streaming:
            behaviour = self._streaming(method)
            if method.request_streaming:
                return grpc.stream_stream_rpc_method_handler(behaviour)
            return grpc.unary_stream_rpc_method_handler(behaviour)
        answer = self._answering(method)
        if method.request_streaming:
            return grpc.stream_unary_rpc_method_handler(answer)
        return grpc.unary_unary_rpc_method_handler(answer)

    def _answering(self, method: Method) -> Callable[[Any, Any], Any]:
        pipeline, name = self._pipeline, method.name

        async def answer(request: bytes | AsyncIterator[bytes], context: AioContext) -> bytes:
            call = call_from(name, context)
            try:
                response = await pipeline.unary(method, request, call)
            except CrystalMeshError as error:
                await _abort(context, error, call)
                raise
            context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
            return response

        return answer

    def _streaming(self, method: Method) -> Callable[[Any, Any], Any]:
        pipeline, name = self._pipeline, method.name

        async def stream(request: bytes | AsyncIterator[bytes], context: AioContext) -> AsyncIterator[bytes]:
            call = call_from(name, context)
            try:
                async with aclosing(pipeline.stream(method, request, call)) as responses:
                    async for response in responses:
                        yield response
            except CrystalMeshError as error:
                await _abort(context, error, call)
                raise
            context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))

        return stream

    def unknown(self, name: str) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler that answers UNIMPLEMENTED for a method that is not hosted."""

        async def refuse(_: bytes, context: AioContext) -> bytes:
            call = call_from(name, context)
            error = self._pipeline.unknown_method(call, hosted=self._hosted)
            await _abort(context, error, call)
            raise error

        return grpc.unary_unary_rpc_method_handler(refuse)


def call_from(method: str, context: AioContext) -> Call:
    """The call that a gRPC context stands for."""
    remaining = context.time_remaining()
    deadline = None if remaining is None else time.monotonic() + remaining
    return Call(method, dict(context.invocation_metadata()), context.peer(), deadline)


async def _abort(context: AioContext, error: CrystalMeshError, call: Call) -> None:
    await context.abort(error.code, short_message(error), trailing_metadata(error, call.request_id))


class StandaloneServer:
    """A grpc.aio server on one port."""

    def __init__(
        self, settings: ServiceSettings, credentials: grpc.ServerCredentials | None, handler: PipelineHandler
    ) -> None:
        self._settings = settings
        self._server = grpc.aio.server(options=server_options(settings))
        self._server.add_generic_rpc_handlers((handler,))
        self._credentials = credentials
        self.port = 0

    def host(self, register: AddToServer) -> None:
        """Host a servicer beside the pipeline: no admission, no accounting."""
        register(self._server)

    async def start(self) -> None:
        """Listen; raises SettingsError when the address cannot be bound."""
        address = with_port(self._settings.host, self._settings.port)
        try:
            if self._credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, self._credentials)
        except RuntimeError:
            raise SettingsError(f"cannot listen on {address}: the address is in use or not ours") from None
        await self._server.start()

    async def stop(self, pipeline: CallPipeline) -> None:
        """Refuse new calls, let running ones end within the drain time, then close."""
        pipeline.draining = True
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                await pipeline.wait_idle()
        except TimeoutError:
            pass  # what still runs is cancelled by the stop below
        await self._server.stop(grace=0.5)


def server_options(settings: ServiceSettings) -> list[tuple[str, Any]]:
    largest = int(settings.limits.message_bytes * _TRANSPORT_MARGIN)
    return [
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", largest),
        # Two servers on one port would each get half of the calls; the second should fail instead.
        ("grpc.so_reuseport", 0),
        # Find dead clients within about a minute, and let clients ping at that rate between calls.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ]
