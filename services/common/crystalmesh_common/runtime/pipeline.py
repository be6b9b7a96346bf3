"""What happens to every call around its servicer: admission, parsing, deadline, errors, telemetry.

Transports hand in bytes and a `Call` and get bytes or a `CrystalMeshError`; they know nothing else. This
is one function per call kind rather than a stack of interceptors, because on a two-core machine each
interceptor of grpc.aio costs as much as the whole of this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager, nullcontext
from time import perf_counter

import structlog
from google.protobuf.message import DecodeError, Message
from prometheus_client import Counter, Histogram

from crystalmesh_common.runtime.auth import TokenGuard
from crystalmesh_common.runtime.calls import Call, current_call
from crystalmesh_common.runtime.errors import (
    CallCancelledError,
    CrystalMeshError,
    DeadlineExceededError,
    MalformedMessageError,
    MessageTooLargeError,
    QueueFullError,
    ShuttingDownError,
    UnknownMethodError,
)
from crystalmesh_common.runtime.methods import Method
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import as_reportable
from crystalmesh_common.runtime.tracing import Tracing

_log = structlog.get_logger(__name__)

Request = bytes | AsyncIterator[bytes]


class CallPipeline:
    """Runs the calls of one service process. Every failure leaves it as a CrystalMeshError."""

    def __init__(
        self,
        metrics: Metrics,
        limits: Limits,
        guard: TokenGuard | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._metrics = metrics
        self._limits = limits
        self._guard = guard
        self._tracing = tracing
        self._meters: dict[str, _Meter] = {}
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    async def unary(self, method: Method, request: Request, call: Call) -> bytes:
        """Serve one call with one response."""
        with self._served(method, call):
            response = await method.unary(self._parsed(method, request), call)
            return method.serialize(response)

    async def stream(self, method: Method, request: Request, call: Call) -> AsyncGenerator[bytes, None]:
        """Serve one call with a stream of responses."""
        with self._served(method, call):
            responses = method.stream(self._parsed(method, request), call)
            # Closing ours closes the servicer's, which frees its place in the queue.
            async with aclosing(responses):
                async for response in responses:
                    yield method.serialize(response)

    def unknown_method(self, call: Call, *, hosted: str) -> CrystalMeshError:
        """Why a call of a method that is not hosted fails; strangers are not told what is hosted."""
        error: CrystalMeshError
        try:
            self._authenticate(call)
            error = UnknownMethodError(f"this server hosts no method {call.method}", hosted=hosted)
        except CrystalMeshError as refusal:
            error = refusal
        self._metrics.call_failed(error.reason)
        return error

    async def wait_idle(self) -> None:
        """Return once no call is in flight."""
        await self._idle.wait()

    @contextmanager
    def _served(self, method: Method, call: Call) -> Iterator[None]:
        """Admission before, error translation and accounting after."""
        meter = self._meters.get(method.name) or self._add_meter(method)
        started = perf_counter()
        code = "OK"
        self._enter()
        current_call.set(call)
        try:
            self._admit(call)
            with self._span(call):
                yield
        except (Exception, asyncio.CancelledError, GeneratorExit) as error:
            failure = self._report(error)
            code = failure.code.name
            self._metrics.call_failed(failure.reason)
            if failure is error or not isinstance(error, Exception):
                raise  # as it is: a failure of ours, or the end of a cancelled task
            raise failure from error
        finally:
            self._leave()
            meter.ended(code, perf_counter() - started)

    def _admit(self, call: Call) -> None:
        if self.draining:
            raise ShuttingDownError("the server is stopping", retry_after_seconds=1.0)
        self._authenticate(call)
        if self._in_flight > self._limits.concurrent_calls:
            raise QueueFullError(
                f"{self._limits.concurrent_calls} calls are in flight already", retry_after_seconds=0.5
            )
        remaining = call.time_remaining()
        if remaining is not None and remaining <= 0:
            raise DeadlineExceededError("the deadline had passed when the call arrived")

    def _authenticate(self, call: Call) -> None:
        if self._guard is not None:
            authorization = call.metadata.get("authorization")
            self._guard.check(authorization if isinstance(authorization, str) else None)

    def _parsed(self, method: Method, request: Request) -> Message | AsyncIterator[Message]:
        if isinstance(request, bytes):
            return self._parse(method, request)
        return self._parse_each(method, request)

    async def _parse_each(self, method: Method, requests: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        async for request in requests:
            yield self._parse(method, request)

    def _parse(self, method: Method, request: bytes) -> Message:
        if len(request) > self._limits.message_bytes:
            raise MessageTooLargeError(
                f"the message has {len(request):,} bytes, at most {self._limits.message_bytes:,} are taken",
                limit=self._limits.message_bytes,
            )
        try:
            return method.parse(request)
        except DecodeError:
            raise MalformedMessageError(f"the bytes are not a request of {method.name}") from None

    def _report(self, error: BaseException) -> CrystalMeshError:
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            return CallCancelledError("the caller went away")
        failure = as_reportable(error)
        if failure is not error:
            _log.error("call_failed", exc_info=error)
        else:
            _log.debug("call_refused", reason=failure.reason, message=failure.message)
        return failure

    def _span(self, call: Call) -> AbstractContextManager[None]:
        if self._tracing is None:
            return nullcontext()
        return self._tracing.server_span(call.method, call.metadata, call.request_id)

    def _enter(self) -> None:
        self._in_flight += 1
        self._metrics.calls_in_flight.set(self._in_flight)
        self._idle.clear()

    def _leave(self) -> None:
        self._in_flight -= 1
        self._metrics.calls_in_flight.set(self._in_flight)
        if self._in_flight == 0:
            self._idle.set()

    def _add_meter(self, method: Method) -> _Meter:
        meter = _Meter(self._metrics, method)
        self._meters[method.name] = meter
        return meter


class _Meter:
    """The counters of one method, looked up once and not on every call."""

    def __init__(self, metrics: Metrics, method: Method) -> None:
        self._requests = metrics.requests
        # "/crystalmesh.relaxation.v1.RelaxationService/Evaluate" as "RelaxationService/Evaluate".
        self._labels = (metrics.service, method.name.rsplit(".", 1)[-1])
        self._seconds: Histogram = metrics.request_seconds.labels(*self._labels)
        self._by_code: dict[str, Counter] = {}

    def ended(self, code: str, seconds: float) -> None:
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._requests.labels(*self._labels, code)
        counter.inc()
        self._seconds.observe(seconds)
