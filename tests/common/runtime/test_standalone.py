from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest
from crystalmesh.relaxation.v1.relaxation_service_pb2 import ListModelsRequest
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.statuses import REQUEST_ID_KEY, STATUS_DETAILS_KEY, from_rpc_failure
from tests.common.runtime.hosting import SERVICE, UNARY, Levers, channel_to, hosted, rest, stub_to
from tests.conftest import AUTHORIZATION, TOKEN, eventually

TRACE_MARKS = ("Traceback", 'File "', "site-packages")


def wire_text(failure: grpc.aio.AioRpcError) -> str:
    """All that a failed call brought, as text."""
    trailers = [
        value.decode("latin-1") if isinstance(value, bytes) else value
        for _, value in (failure.trailing_metadata() or ())
    ]
    return "\n".join([failure.details() or "", *trailers])


async def all_of(stream: Any) -> list[Any]:
    return [response async for response in stream]


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    """How a call fails; it shows no trace of our code."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await (all_of(call) if hasattr(call, "__aiter__") else call)
    assert not any(mark in wire_text(failed.value) for mark in TRACE_MARKS)
    return failed.value


async def test_calls_of_both_kinds_are_answered_with_the_request_id() -> None:
    """The caller's request id comes back in the trailers, where it gave none a new one."""
    async with hosted(Levers()) as process, stub_to(process) as stub:
        unary = stub.ListModels(ListModelsRequest(), metadata=((REQUEST_ID_KEY, "mine"),))
        assert (await unary).models[0].name == "mine"
        assert dict(await unary.trailing_metadata())[REQUEST_ID_KEY] == "mine"
        stream = stub.Evaluate(EvaluateRequest())
        assert [response.index async for response in stream] == [0, 1, 2]
        assert dict(await stream.trailing_metadata())[REQUEST_ID_KEY]


@pytest.mark.parametrize("name", ["ListModels", "Evaluate"])
async def test_an_error_arrives_with_code_reason_hint_and_request_id(name: str) -> None:
    """A failing call of either kind carries its whole status in the trailers."""
    servicer = Levers()
    servicer.raises = errors.QueueFullError("come back", retry_after_seconds=0.5, limit=3)
    async with hosted(servicer) as process, stub_to(process) as stub:
        request = ListModelsRequest() if name == "ListModels" else EvaluateRequest()
        failure = await failure_of(getattr(stub, name)(request, metadata=((REQUEST_ID_KEY, "mine"),)))
    assert failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.details() == "come back"
    trailers = dict(failure.trailing_metadata())
    status = status_pb2.Status.FromString(trailers[STATUS_DETAILS_KEY])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.reason, info.domain) == ("QUEUE_FULL", "crystalmesh")
    assert dict(info.metadata) == {"limit": "3", "request_id": "mine"}
    assert retry.retry_delay.ToMilliseconds() == 500
    assert (trailers["grpc-retry-pushback-ms"], trailers[REQUEST_ID_KEY]) == ("500", "mine")


@pytest.mark.parametrize("name", ["ListModels", "Evaluate"])
async def test_an_unknown_exception_tells_the_caller_nothing(name: str) -> None:
    """A fault of ours is INTERNAL with a request id, and without text or trace of the exception."""
    servicer = Levers()
    servicer.raises = ZeroDivisionError("a secret in the text")
    async with hosted(servicer) as process, stub_to(process) as stub:
        request = ListModelsRequest() if name == "ListModels" else EvaluateRequest()
        failure = await failure_of(getattr(stub, name)(request))
        assert failure.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in wire_text(failure)
        assert "ZeroDivision" not in wire_text(failure)
        error = from_rpc_failure(failure)
        assert type(error) is errors.InternalError
        assert error.details["request_id"]
        servicer.raises = None
        assert (await stub.ListModels(ListModelsRequest())).models


@pytest.mark.parametrize("letter", ["a", "Å", "💎"])
async def test_a_very_long_message_still_arrives_with_its_reason(letter: str) -> None:
    """However long and in whichever script an error is, its reason reaches the caller."""
    servicer = Levers()
    details = {f"field_{number}": letter * 1000 for number in range(10)}
    servicer.raises = errors.InvalidFieldError(letter * 100_000, **details)
    async with hosted(servicer) as process, stub_to(process) as stub:
        failure = await failure_of(stub.ListModels(ListModelsRequest()))
    error = from_rpc_failure(failure)
    assert type(error) is errors.InvalidFieldError
    assert error.message.startswith(letter * 200)


async def test_a_method_that_is_not_hosted_is_unimplemented() -> None:
    """An unknown service or method names what is hosted; one of the API that is not served says so."""
    async with hosted(Levers()) as process, channel_to(process) as channel, stub_to(process) as stub:
        for name in ("/crystalmesh.relaxation.v1.RelaxationService/Explode", "/no.such.Service/Method", "/x"):
            error = from_rpc_failure(await failure_of(channel.unary_unary(name)(b"")))
            assert type(error) is errors.UnknownMethodError
            assert SERVICE in error.details["hosted"]
        failure = await failure_of(stub.Relax(EvaluateRequest()))
        assert type(from_rpc_failure(failure)) is errors.NotImplementedYetError


async def test_strangers_are_not_told_what_is_hosted() -> None:
    """Where a token is needed, a call of an unknown method without one is refused for that."""
    async with hosted(Levers(), token=TOKEN) as process, channel_to(process) as channel:
        call = channel.unary_unary("/no.such.Service/Method")
        stranger = from_rpc_failure(await failure_of(call(b"")))
        known = from_rpc_failure(await failure_of(call(b"", metadata=AUTHORIZATION)))
    assert type(stranger) is errors.TokenMissingError
    assert "hosted" not in stranger.details
    assert type(known) is errors.UnknownMethodError


async def test_messages_beyond_the_limit_are_refused_below_and_above_the_transports_margin() -> None:
    """A little too large is refused by us with the limit, far too large by gRPC, both as too large."""
    async with (
        hosted(Levers(), limits={"message_bytes": 10_000}) as process,
        channel_to(process) as channel,
    ):
        call = channel.unary_unary(UNARY)
        below = from_rpc_failure(await failure_of(call(b"\0" * 11_000)))
        above = from_rpc_failure(await failure_of(call(b"\0" * 20_000)))
        assert (type(below), below.details["limit"]) == (errors.MessageTooLargeError, "10000")
        assert type(above) is errors.MessageTooLargeError
        await call(ListModelsRequest().SerializeToString())


async def test_a_caller_that_cancels_frees_the_servicer() -> None:
    """When the client cancels a stream the servicer's generator is closed, and the server serves on."""
    servicer = Levers()
    servicer.gate.clear()
    async with hosted(servicer) as process, stub_to(process) as stub:
        stream = stub.Evaluate(EvaluateRequest())
        assert (await stream.read()).index == 0
        stream.cancel()
        await eventually(lambda: servicer.closed == 1, "the generator is closed")
        await eventually(lambda: process._pipeline._in_flight == 0, "nothing is in flight")
        servicer.gate.set()
        assert (await stub.ListModels(ListModelsRequest())).models


async def test_a_caller_that_reads_nothing_and_leaves_is_forgotten() -> None:
    """A stream that waits for its reader ends with the reader: nothing stays in flight."""
    servicer = Levers()
    servicer.count, servicer.padding = 10_000, "x" * 10_000
    async with hosted(servicer) as process, stub_to(process) as stub:
        stream = stub.Evaluate(EvaluateRequest())
        await stream.read()
        stream.cancel()
        await eventually(lambda: process._pipeline._in_flight == 0, "nothing is in flight")
        assert servicer.closed == 1


async def test_a_deadline_ends_the_servicer_too() -> None:
    """The caller's deadline is the call's, and when it passes the servicer is cancelled."""
    servicer = Levers()
    servicer.gate.clear()
    async with hosted(servicer) as process, stub_to(process) as stub:
        failure = await failure_of(stub.Evaluate(EvaluateRequest(), timeout=0.3))
        assert type(from_rpc_failure(failure)) is errors.DeadlineExceededError
        await eventually(lambda: servicer.closed == 1, "the generator is closed")
        deadline = servicer.calls[0].deadline
        assert deadline is not None


async def test_a_server_with_a_token_hosts_nothing_but_health_without_it() -> None:
    """With a token set every method asks for it, reflection included."""
    async with hosted(Levers(), token=TOKEN) as process, channel_to(process) as channel:
        for name in (UNARY, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"):
            error = from_rpc_failure(await failure_of(channel.stream_stream(name)(iter([b""]))))
            assert type(error) is errors.TokenMissingError
        metadata = (("authorization", f"Bearer {TOKEN}"),)
        assert await channel.unary_unary(UNARY)(b"", metadata=metadata)
        assert await channel.unary_unary("/grpc.health.v1.Health/Check")(b"")


async def test_stopping_lets_running_calls_end_and_refuses_new_ones() -> None:
    """During the drain a running stream goes on to its end, and a new call is told to go elsewhere."""
    servicer = Levers()
    servicer.gate.clear()
    async with hosted(servicer, drain_seconds=60) as process, stub_to(process) as stub:
        running = stub.Evaluate(EvaluateRequest())
        assert (await running.read()).index == 0
        stopping = asyncio.create_task(process.stop())
        await eventually(lambda: process._pipeline.draining, "it drains")
        error = from_rpc_failure(await failure_of(stub.ListModels(ListModelsRequest())))
        assert type(error) is errors.ShuttingDownError
        assert error.retry_after_seconds
        servicer.gate.set()
        assert await rest(running) == [1, 2]
        await stopping


async def test_what_outlasts_the_drain_is_cancelled() -> None:
    """A call that does not end within the drain time does not keep the server from stopping."""
    servicer = Levers()
    servicer.gate.clear()
    async with hosted(servicer, drain_seconds=0) as process, stub_to(process) as stub:
        running = stub.Evaluate(EvaluateRequest())
        await running.read()
        await process.stop()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await running.read()
        assert failed.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost"])
async def test_loopback_hosts_of_both_families_can_be_bound(host: str) -> None:
    """IPv6 works with and without brackets."""
    async with (
        hosted(Levers(), host=host) as process,
        grpc.aio.insecure_channel(f"localhost:{process.port}") as channel,
    ):
        assert await channel.unary_unary(UNARY)(b"", wait_for_ready=True, timeout=30)
