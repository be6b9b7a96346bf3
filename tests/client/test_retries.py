from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from crystalmesh.generation.v1 import generation_service_pb2
from crystalmesh.property.v1 import property_service_pb2
from crystalmesh.relaxation.v1 import relaxation_service_pb2
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest, EvaluateResponse
from crystalmesh.retrieval.v1 import retrieval_service_pb2
from crystalmesh.stability.v1 import stability_service_pb2
from crystalmesh_client import AsyncMesh, Credentials, Mesh
from crystalmesh_client.connection import SERVICE_CONFIG
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.calls import Call
from tests.common.runtime.hosting import Levers, hosted
from tests.conftest import silicon, sodium_chloride


class Moody(Levers):
    """Refuses its first callers with the errors that it was given, then answers."""

    def __init__(self, *refusals: errors.CrystalMeshError) -> None:
        super().__init__()
        self.refusals = list(refusals)

    async def Evaluate(self, request: EvaluateRequest, context: Call) -> AsyncIterator[EvaluateResponse]:
        self.calls.append(context)
        if self.refusals:
            raise self.refusals.pop(0)
        for index, given in enumerate(request.crystals):
            response = EvaluateResponse(crystal_id=given.id, index=index)
            response.evaluation.energy_ev = -1.0
            yield response


def full() -> errors.QueueFullError:
    return errors.QueueFullError("full", retry_after_seconds=0.01)


def loading() -> errors.ModelLoadingError:
    return errors.ModelLoadingError("loading", retry_after_seconds=0.01)


@pytest.mark.parametrize(
    "refusals", [[full()], [full(), full(), full()], [loading(), full()]], ids=["once", "thrice", "loading"]
)
async def test_refusals_that_pass_are_retried_without_the_caller_noticing(
    refusals: list[errors.CrystalMeshError],
) -> None:
    """QUEUE_FULL and MODEL_LOADING are retried by gRPC after the server's hint, for both clients."""
    servicer = Moody(*refusals)
    async with hosted(servicer) as process:
        address = f"127.0.0.1:{process.port}"
        async with AsyncMesh(address, credentials=Credentials()) as mesh:
            assert (await mesh.relaxation.evaluate(silicon())).energy_ev == -1
        assert len(servicer.calls) == len(refusals) + 1
        servicer.refusals = list(refusals)

        def ask() -> float:
            with Mesh(address, credentials=Credentials()) as mesh:
                return mesh.relaxation.evaluate(silicon()).energy_ev

        assert await asyncio.to_thread(ask) == -1
    assert len(servicer.calls) == 2 * (len(refusals) + 1)
    # The retries of one call are one call to whoever reads the log.
    assert len({call.request_id for call in servicer.calls}) == 2


async def test_a_queue_that_stays_full_is_told_in_the_end() -> None:
    """After gRPC's attempts the caller gets QUEUE_FULL with the hint, and no further attempts are made."""
    servicer = Moody(*[full()] * 20)
    async with (
        hosted(servicer) as process,
        AsyncMesh(f"127.0.0.1:{process.port}", credentials=Credentials()) as mesh,
    ):
        with pytest.raises(errors.QueueFullError) as refused:
            await mesh.relaxation.evaluate(silicon())
    assert refused.value.retry_after_seconds == 0.01
    assert len(servicer.calls) == 5


@pytest.mark.parametrize(
    "error",
    [
        errors.MessageTooLargeError("too large"),
        errors.OutOfMemoryError("too large"),
        errors.InvalidFieldError("wrong"),
        errors.InternalError("broken"),
        errors.TokenInvalidError("wrong"),
    ],
)
async def test_what_a_retry_cannot_help_is_not_retried(error: errors.CrystalMeshError) -> None:
    """Errors that would come again are raised after one attempt."""
    servicer = Moody(error)
    async with (
        hosted(servicer) as process,
        AsyncMesh(f"127.0.0.1:{process.port}", credentials=Credentials()) as mesh,
    ):
        with pytest.raises(type(error)):
            await mesh.relaxation.evaluate(silicon())
    assert len(servicer.calls) == 1


class Forgetful(Moody):
    """Answers about the first crystal only, and ends the call as if that were all."""

    async def Evaluate(self, request: EvaluateRequest, context: Call) -> AsyncIterator[EvaluateResponse]:
        async for response in super().Evaluate(request, context):
            yield response
            return


async def test_a_server_that_forgets_outcomes_is_not_asked_for_ever() -> None:
    """A call that ends well without all outcomes is INTERNAL."""
    servicer = Forgetful()
    async with (
        hosted(servicer) as process,
        AsyncMesh(f"127.0.0.1:{process.port}", credentials=Credentials()) as mesh,
    ):
        outcomes = mesh.relaxation.evaluate_many([silicon(), sodium_chloride()])
        assert (await anext(outcomes)).id == "Si"
        with pytest.raises(errors.InternalError):
            await anext(outcomes)
    assert len(servicer.calls) == 1


def test_streams_of_requests_are_not_retried_by_grpc() -> None:
    """Every method that sends a stream is named in the client's configuration without a retry policy."""
    modules = [generation_service_pb2, property_service_pb2, relaxation_service_pb2]
    modules += [retrieval_service_pb2, stability_service_pb2]
    streams = {
        (service.full_name, method.name)
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if method.client_streaming
    }
    unretried, _ = SERVICE_CONFIG["methodConfig"]
    assert "retryPolicy" not in unretried
    assert {(name["service"], name["method"]) for name in unretried["name"]} == streams
