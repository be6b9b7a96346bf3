"""Calls from the edge to a replica, through Serve's own routing.

Serve routes by application, queues, balances, counts and drains. What it says itself (no such
application, replica died, …) is put into our errors here, so that none of its texts reaches a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import grpc
import structlog
from ray.serve._private.proxy_request_response import gRPCStreamingType

from crystalmesh_common.runtime.calls import Call
from crystalmesh_common.runtime.errors import (
    CallCancelledError,
    CrystalMeshError,
    DeadlineExceededError,
    InternalError,
    QueueFullError,
    ResourceNotFoundError,
    UnreachableError,
)
from crystalmesh_common.runtime.ray.frames import open_frame
from crystalmesh_common.runtime.ray.routes import Route
from crystalmesh_common.runtime.statuses import REQUEST_ID_KEY

_log = structlog.get_logger(__name__)

APPLICATION_KEY = "application"
CALL_KEY = "crystalmesh-call"
# How Ray's exceptions begin where a replica's process is gone; a call to its successor may well succeed.
_PROCESS_GONE = ("The actor ", "The worker died")

HandlerFactory = Callable[..., Callable[[Any, Any], Any]]


class ForwardedCall(NamedTuple):
    """A call on its way to a replica."""

    method: str  # "/package.Service/Method"
    metadata: Mapping[str, str | bytes]
    peer: str
    seconds: float | None  # until the deadline; clocks of two machines differ, so none of them is told


class ServeContext:
    """Stands where Serve expects a gRPC context: tells it of the call, and keeps its verdict to itself."""

    def __init__(self, application: str, call: Call) -> None:
        metadata = {**call.metadata, REQUEST_ID_KEY: call.request_id}
        forwarded = ForwardedCall(call.method, metadata, call.peer, call.time_remaining())
        # Serve hands its metadata to the replica as they are, so the call travels among them.
        self._metadata = (
            (APPLICATION_KEY, application),
            ("request_id", call.request_id),
            (CALL_KEY, forwarded),
        )
        self._peer = call.peer
        self._code: grpc.StatusCode | None = None
        self._details = ""

    def invocation_metadata(self) -> tuple[tuple[str, object], ...]:
        return self._metadata

    def peer(self) -> str:
        return self._peer

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def details(self) -> str:
        return self._details

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def set_details(self, details: str) -> None:
        self._details = details

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {}

    def peer_identities(self) -> None:
        return None

    def peer_identity_key(self) -> None:
        return None

    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def set_trailing_metadata(self, metadata: object) -> None:
        """Serve's request id; the edge sends ours."""

    def set_compression(self, compression: object) -> None:
        """Ours to decide."""


class Forwarder:
    """Sends the calls of one RPC to the replicas of an application."""

    def __init__(
        self, route: Route, factory: HandlerFactory, hosted: Iterable[str], asked: str | None = None
    ) -> None:
        self.kind = _KINDS[route.request_streaming, route.response_streaming]
        # Serve calls the replica's method named last; the rest is what its metrics show.
        self._respond = factory(
            service_method=f"{route.name}/{asked or f'serve_{self.kind.value}'}", streaming_type=self.kind
        )
        self._route = route
        self._hosted = frozenset(hosted)

    async def unary(self, request: bytes | AsyncIterator[bytes], call: Call) -> bytes:
        context = ServeContext(self._application(call), call)
        requests = _Requests(request)
        content = await self._respond(requests.for_serve(), context)
        self._raise_unless_ok(context, requests)
        return _message(open_frame(content))

    async def stream(self, request: bytes | AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
        context = ServeContext(self._application(call), call)
        requests = _Requests(request)
        frames = self._respond(requests.for_serve(), context)
        error: CrystalMeshError | None = None
        try:
            async for content in frames:
                opened = open_frame(content)
                if isinstance(opened, CrystalMeshError):
                    error = opened  # the replica's last word; Serve ends the stream in its own way
                else:
                    yield opened
        finally:
            await _let_go(frames)
        if error is not None:
            raise error
        self._raise_unless_ok(context, requests)

    def _application(self, call: Call) -> str:
        named = call.metadata.get(APPLICATION_KEY)
        return named if isinstance(named, str) and named else self._route.application

    def _raise_unless_ok(self, context: ServeContext, requests: _Requests) -> None:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError  # which Serve turned into an answer
        if requests.error is not None:
            raise requests.error
        if context.code() is not grpc.StatusCode.OK:
            raise self._error_of_serve(context)

    def _error_of_serve(self, context: ServeContext) -> CrystalMeshError:
        code, details = context.code(), context.details()
        application = str(context.invocation_metadata()[0][1])
        _log.warning("serve_failed", code=code and code.name, details=details, application=application)
        if code is grpc.StatusCode.NOT_FOUND and application not in self._hosted:
            return unknown_application(application)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceededError("the deadline passed before a replica answered")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return QueueFullError(f"all replicas of {application} are busy", retry_after_seconds=1.0)
        if code in _AWAY or details.startswith(_PROCESS_GONE):
            return UnreachableError(f"no replica of {application} could answer", retry_after_seconds=1.0)
        return InternalError("the server failed on this request; the operator finds the cause in its log")


_KINDS = {
    (False, False): gRPCStreamingType.UNARY_UNARY,
    (False, True): gRPCStreamingType.UNARY_STREAM,
    (True, False): gRPCStreamingType.STREAM_UNARY,
    (True, True): gRPCStreamingType.STREAM_STREAM,
}
# Not deployed (yet, or any more); deployment failed; the replica was stopped under the call.
_AWAY = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def unknown_application(name: str) -> ResourceNotFoundError:
    return ResourceNotFoundError(
        f"there is no application {name[:80]!r}", resource="application", field="metadata application"
    )


_CANCELLATION_SECONDS = 0.02


class _Requests:
    """What the client sends, with the error that reading it met: Serve takes such an error for the end."""

    def __init__(self, request: bytes | AsyncIterator[bytes]) -> None:
        self._request = request
        self._caller = asyncio.current_task()
        self.error: CrystalMeshError | None = None

    def for_serve(self) -> bytes | AsyncIterator[bytes]:
        return self._request if isinstance(self._request, bytes) else self._each(self._request)

    async def _each(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for request in requests:
                yield request
            # A client that cancels ends its stream, too, and only a moment later is its call cancelled.
            await asyncio.sleep(_CANCELLATION_SECONDS)
        except CrystalMeshError as error:
            self.error = error
            raise
        if self._caller is not None and (self._caller.cancelling() or self._caller.done()):
            raise CallCancelledError("the stream of requests broke off")


def _message(opened: bytes | CrystalMeshError) -> bytes:
    if isinstance(opened, CrystalMeshError):
        raise opened
    return opened


async def _let_go(frames: AsyncGenerator[bytes, None]) -> None:
    """Run Serve's generator to its end, cancelling what it waits for.

    Serve cancels the replica's work only if a cancellation finds it waiting for the replica. A generator
    that is closed between two messages would leave the replica at work for nobody.
    """
    while True:
        step = asyncio.ensure_future(anext(frames, None))
        await asyncio.sleep(0)
        if not step.done():
            step.cancel()
        with suppress(asyncio.CancelledError):
            if await step is not None:
                continue
        return
