from __future__ import annotations

import asyncio
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.runner import Runner
from crystalmesh_common.runtime.statuses import from_rpc_failure
from tests.common.runtime.hosting import SERVICE, Levers, channel_to, hosted, rest, stub_to
from tests.common.runtime.jobs import Doubler, JobRunner, drawn
from tests.conftest import TOKEN

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class SlowlyLoaded:
    """A runner whose model comes when it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.runner: JobRunner = Runner(
            self._load, max_batch_cost=1, queued_calls=1, metrics=Metrics("test"), name="slow"
        )

    def _load(self) -> Doubler:
        assert self.release.wait(timeout=60)
        return Doubler()


class RunnerLevers(Levers):
    """Asks a runner before it answers."""

    def __init__(self, runner: JobRunner) -> None:
        super().__init__()
        self._runner = runner

    async def Evaluate(self, request, context):
        async for _ in self._runner.stream("key", drawn([])):
            yield
        async for response in super().Evaluate(request, context):
            yield response


async def test_health_follows_the_models_readiness() -> None:
    """NOT_SERVING while the model loads, with MODEL_LOADING for callers; SERVING after; watchers see it."""
    slow = SlowlyLoaded()
    async with (
        hosted(RunnerLevers(slow.runner), runners=[slow.runner], load=False) as process,
        channel_to(process) as channel,
        stub_to(process) as stub,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        loading = asyncio.create_task(process.load())
        watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == NOT_SERVING
        for name in ("", SERVICE):
            assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.Evaluate(EvaluateRequest()).read()
        error = from_rpc_failure(failed.value)
        assert isinstance(error, errors.ModelLoadingError)
        assert error.retry_after_seconds
        slow.release.set()
        assert await loading
        assert (await watch.read()).status == SERVING
        for name in ("", SERVICE):
            assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
        assert (await stub.Evaluate(EvaluateRequest()).read()).index == 0
        watch.cancel()


async def test_health_is_lost_before_the_server_stops() -> None:
    """A watcher hears NOT_SERVING when the drain begins, while calls still run."""
    servicer = Levers()
    servicer.gate.clear()
    async with (
        hosted(servicer, drain_seconds=60) as process,
        channel_to(process) as channel,
        stub_to(process) as stub,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        running = stub.Evaluate(EvaluateRequest())
        await running.read()
        stopping = asyncio.create_task(process.stop())
        assert (await watch.read()).status == NOT_SERVING
        servicer.gate.set()
        assert await rest(running) == [1, 2]
        watch.cancel()
        await stopping


async def test_probes_need_no_token() -> None:
    """Health answers without the token that everything else asks for."""
    async with hosted(Levers(), token=TOKEN) as process, channel_to(process) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == SERVING


async def test_an_unknown_service_has_no_health() -> None:
    """Asking for the health of what is not hosted is NOT_FOUND."""
    async with hosted(Levers()) as process, channel_to(process) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="no.such.Service")
            )
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_model_that_cannot_be_loaded_never_serves() -> None:
    """When loading raises, `load` says so and health stays NOT_SERVING."""

    def load() -> Doubler:
        raise FileNotFoundError("weights")

    runner: JobRunner = Runner(load, max_batch_cost=1, queued_calls=1, metrics=Metrics("test"))
    async with hosted(Levers(), runners=[runner], load=False) as process, channel_to(process) as channel:
        assert not await process.load()
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING


async def test_reflection_lists_and_describes_what_is_hosted() -> None:
    """Grpcurl can list the services and read their files without a proto at hand."""

    def ask(port: int) -> tuple[list[str], list[str]]:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            file = database.FindFileContainingSymbol(SERVICE)
            methods = [method.name for service in file.service for method in service.method]
            return list(database.get_services()), methods

    async with hosted(Levers()) as process:
        services, methods = await asyncio.to_thread(ask, process.port)
    assert {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= set(services)
    assert {"Evaluate", "ListModels"} <= set(methods)
