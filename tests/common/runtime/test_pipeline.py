from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest, EvaluateResponse
from crystalmesh.relaxation.v1.relaxation_service_pb2 import ListModelsResponse
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.auth import TokenGuard
from crystalmesh_common.runtime.calls import Call, current_call
from crystalmesh_common.runtime.methods import Method
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.pipeline import CallPipeline
from crystalmesh_common.runtime.settings import Limits
from tests.common.runtime.hosting import STREAM, UNARY, Levers, methods_of
from tests.conftest import TOKEN, eventually

BAD_BYTES = b"\xff\xff\xff"


class Bench:
    """A pipeline with its servicer, and what its metrics say."""

    def __init__(self, *, guard: TokenGuard | None = None, **limits: int) -> None:
        self.metrics = Metrics("test")
        self.servicer = Levers()
        self.pipeline = CallPipeline(self.metrics, Limits(**limits), guard)
        self.methods = methods_of(self.servicer)

    def call(self, name: str = UNARY, *, deadline: float | None = None, **metadata: str) -> Call:
        return Call(name, metadata, "peer", deadline)

    async def unary(self, request: bytes = b"", call: Call | None = None) -> ListModelsResponse:
        answer = await self.pipeline.unary(self.methods[UNARY], request, call or self.call())
        return ListModelsResponse.FromString(answer)

    async def stream(self, request: bytes = b"", call: Call | None = None) -> list[EvaluateResponse]:
        stream = self.pipeline.stream(self.methods[STREAM], request, call or self.call(STREAM))
        async with aclosing(stream) as responses:
            return [EvaluateResponse.FromString(response) async for response in responses]

    def ended(self, code: str, method: str = "RelaxationService/ListModels") -> float:
        labels = {"service": "test", "method": method, "code": code}
        return self.metrics.registry.get_sample_value("crystalmesh_requests_total", labels) or 0

    def refused(self, reason: str) -> float:
        labels = {"service": "test", "reason": reason}
        return self.metrics.registry.get_sample_value("crystalmesh_refusals_total", labels) or 0

    def in_flight(self) -> float:
        labels = {"service": "test"}
        return self.metrics.registry.get_sample_value("crystalmesh_calls_in_flight", labels) or 0


async def test_a_good_call_is_answered_and_counted() -> None:
    """Both kinds of calls pass through, are counted as OK and leave nothing in flight."""
    bench = Bench()
    assert len((await bench.unary()).models) == 1
    assert [response.index for response in await bench.stream()] == [0, 1, 2]
    assert (bench.ended("OK"), bench.ended("OK", "RelaxationService/Evaluate"), bench.in_flight()) == (
        1,
        1,
        0,
    )
    seconds = {"service": "test", "method": "RelaxationService/Evaluate"}
    assert bench.metrics.registry.get_sample_value("crystalmesh_request_seconds_count", seconds) == 1


async def test_a_servicer_knows_its_call() -> None:
    """The context of a servicer is the call, which is also the current one of its task."""
    bench = Bench()
    call = bench.call(**{"x-request-id": "ours"})
    assert (await bench.unary(call=call)).models[0].name == "ours"
    assert bench.servicer.calls == [call]
    assert current_call.get() is call


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({}, errors.TokenMissingError),
        ({"authorization": "Bearer wrong-token"}, errors.TokenInvalidError),
    ],
)
async def test_without_the_token_nothing_is_read(
    metadata: dict[str, str], error: type[errors.CrystalMeshError]
) -> None:
    """A caller without an accepted token is refused before the request is parsed, and counted."""
    bench = Bench(guard=TokenGuard([TOKEN]))
    with pytest.raises(error):
        await bench.unary(BAD_BYTES, bench.call(**metadata))
    assert not bench.servicer.calls
    assert (bench.ended("UNAUTHENTICATED"), bench.refused(error.reason)) == (1, 1)
    await bench.unary(call=bench.call(authorization=f"Bearer {TOKEN}"))


async def test_binary_authorization_is_no_token() -> None:
    """Bytes under the key of the token do not crash the guard."""
    bench = Bench(guard=TokenGuard([TOKEN]))
    call = Call(UNARY, {"authorization": b"\xff\xfe"}, "peer", None)
    with pytest.raises(errors.TokenMissingError):
        await bench.unary(call=call)


async def test_a_passed_deadline_is_refused() -> None:
    """A call whose deadline has passed on arrival never reaches the servicer."""
    bench = Bench()
    with pytest.raises(errors.DeadlineExceededError):
        await bench.unary(call=bench.call(deadline=time.monotonic() - 1))
    assert not bench.servicer.calls
    assert bench.ended("DEADLINE_EXCEEDED") == 1


async def test_bytes_that_are_no_request_are_malformed() -> None:
    """Undecodable bytes are INVALID_ARGUMENT with MALFORMED_MESSAGE in both kinds of calls."""
    bench = Bench()
    with pytest.raises(errors.MalformedMessageError, match="ListModels"):
        await bench.unary(BAD_BYTES)
    with pytest.raises(errors.MalformedMessageError, match="Evaluate"):
        await bench.stream(BAD_BYTES)
    assert (
        bench.ended("INVALID_ARGUMENT"),
        bench.ended("INVALID_ARGUMENT", "RelaxationService/Evaluate"),
    ) == (1, 1)


async def test_a_message_over_the_limit_is_too_large() -> None:
    """At the limit a message is taken, one byte beyond it is MESSAGE_TOO_LARGE with the limit."""
    bench = Bench(message_bytes=1024)
    at_limit = EvaluateRequest(model="x" * 1021).SerializeToString()
    assert len(at_limit) == 1024
    assert len(await bench.stream(at_limit)) == 3
    with pytest.raises(errors.MessageTooLargeError) as refused:
        await bench.stream(at_limit + b"\0")
    assert refused.value.details == {"limit": "1024"}


async def test_while_draining_new_calls_are_sent_elsewhere() -> None:
    """Once draining, calls are refused with SHUTTING_DOWN and a hint, whoever asks."""
    bench = Bench(guard=TokenGuard([TOKEN]))
    bench.pipeline.draining = True
    with pytest.raises(errors.ShuttingDownError) as refused:
        await bench.unary()
    assert refused.value.retry_after_seconds


async def test_calls_in_flight_are_limited_and_their_end_makes_room() -> None:
    """One call more than the limit is QUEUE_FULL with a hint; when one ends, the next is admitted."""
    bench = Bench(concurrent_calls=2)
    bench.servicer.gate.clear()
    running = [asyncio.create_task(bench.unary()) for _ in range(2)]
    await eventually(lambda: len(bench.servicer.calls) == 2, "both run")
    assert bench.in_flight() == 2
    with pytest.raises(errors.QueueFullError) as refused:
        await bench.unary()
    assert refused.value.retry_after_seconds
    bench.servicer.gate.set()
    await asyncio.gather(*running)
    await bench.unary()
    assert (bench.ended("OK"), bench.ended("RESOURCE_EXHAUSTED"), bench.in_flight()) == (3, 1, 0)


async def test_idle_means_that_no_call_is_in_flight() -> None:
    """`wait_idle` returns at once when nothing runs, else with the end of the last call."""
    bench = Bench()
    await bench.pipeline.wait_idle()
    bench.servicer.gate.clear()
    running = asyncio.create_task(bench.unary())
    await eventually(lambda: bool(bench.servicer.calls), "it runs")
    waiting = asyncio.create_task(bench.pipeline.wait_idle())
    await asyncio.sleep(0)
    assert not waiting.done()
    bench.servicer.gate.set()
    await running
    await waiting


async def test_a_cancelled_call_is_accounted_as_cancelled() -> None:
    """The task's cancellation passes on as it is, and the call is counted as CANCELLED and out of flight."""
    bench = Bench()
    bench.servicer.gate.clear()
    running = asyncio.create_task(bench.unary())
    await eventually(lambda: bool(bench.servicer.calls), "it runs")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (bench.ended("CANCELLED"), bench.refused("CALL_CANCELLED"), bench.in_flight()) == (1, 1, 0)


async def test_a_stream_that_is_closed_early_closes_the_servicers() -> None:
    """When the transport stops reading, the servicer's generator is closed at once and counted."""
    bench = Bench()
    stream = bench.pipeline.stream(bench.methods[STREAM], b"", bench.call(STREAM))
    await anext(stream)
    await stream.aclose()
    assert bench.servicer.closed == 1
    assert (bench.ended("CANCELLED", "RelaxationService/Evaluate"), bench.in_flight()) == (1, 0)


@pytest.mark.parametrize(
    "error", [ValueError("/etc/shadow"), KeyError("secret"), errors.CrystalMeshError("secret")]
)
async def test_an_unknown_exception_is_internal_and_tells_nothing(error: Exception) -> None:
    """Whatever else a servicer raises is INTERNAL without a word of it, in both kinds of calls."""
    bench = Bench()
    bench.servicer.raises = error
    for failing in (bench.unary(), bench.stream()):
        with pytest.raises(errors.InternalError) as failed:
            await failing
        assert type(failed.value) is errors.InternalError
        assert str(error) not in failed.value.message
        assert not failed.value.details
    assert (bench.ended("INTERNAL"), bench.refused("INTERNAL"), bench.in_flight()) == (1, 2, 0)


async def test_an_error_of_ours_leaves_as_it_is() -> None:
    """A reasoned error of the servicer is the very one that leaves the pipeline."""
    bench = Bench()
    bench.servicer.raises = errors.ModelNotFoundError("no such model", known="chgnet")
    with pytest.raises(errors.ModelNotFoundError) as failed:
        await bench.unary()
    assert failed.value is bench.servicer.raises
    assert bench.ended("NOT_FOUND") == 1


async def test_a_response_of_the_wrong_type_is_internal() -> None:
    """A servicer that answers with something else than its message fails as INTERNAL."""
    bench = Bench()
    method = bench.methods[UNARY]

    async def wrong(_request: object, _context: object) -> object:
        return object()

    broken = Method(method.name, False, False, method.parse, method.serialize, wrong)  # noqa: FBT003
    with pytest.raises(errors.InternalError):
        await bench.pipeline.unary(broken, b"", bench.call())


async def test_each_message_of_a_request_stream_is_checked() -> None:
    """Messages of a client's stream are parsed one by one, and a bad one ends the call with its reason."""
    bench = Bench(message_bytes=1024)
    read: list[str] = []

    async def count(requests: AsyncIterator[EvaluateRequest], _context: object) -> ListModelsResponse:
        read.extend([request.model async for request in requests])
        return ListModelsResponse()

    method = bench.methods[UNARY]
    streaming = Method(method.name, True, False, EvaluateRequest.FromString, method.serialize, count)  # noqa: FBT003

    async def send(*messages: bytes) -> AsyncIterator[bytes]:
        for message in messages:
            yield message

    good = EvaluateRequest(model="a").SerializeToString()
    await bench.pipeline.unary(streaming, send(good, good), bench.call())
    assert read == ["a", "a"]
    with pytest.raises(errors.MalformedMessageError):
        await bench.pipeline.unary(streaming, send(good, BAD_BYTES), bench.call())
    with pytest.raises(errors.MessageTooLargeError):
        await bench.pipeline.unary(streaming, send(good, b"\0" * 1025), bench.call())
    assert bench.in_flight() == 0
