"""A servicer with levers, and services hosted in the process of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from crystalmesh.common.v1.model_pb2 import ModelInfo
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest, EvaluateResponse
from crystalmesh.relaxation.v1.relaxation_service_pb2 import ListModelsRequest, ListModelsResponse
from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import (
    RelaxationServiceServicer,
    RelaxationServiceStub,
    add_RelaxationServiceServicer_to_server,
)
from crystalmesh_common.runtime.calls import Call
from crystalmesh_common.runtime.methods import Method, collect_methods
from crystalmesh_common.runtime.runner import Runner
from crystalmesh_common.runtime.service import Hosted, Service, StandaloneProcess
from crystalmesh_common.runtime.settings import ServiceSettings

SERVICE = "crystalmesh.relaxation.v1.RelaxationService"
UNARY = f"/{SERVICE}/ListModels"
STREAM = f"/{SERVICE}/Evaluate"


class Levers(RelaxationServiceServicer):
    """Answers ListModels with the request id, and Evaluate with as many responses as `count`."""

    def __init__(self) -> None:
        self.raises: BaseException | None = None
        self.count = 3
        self.padding = ""  # rides on every response
        self.gate = asyncio.Event()  # closed, a stream stands still after its first response
        self.gate.set()
        self.calls: list[Call] = []
        self.closed = 0

    async def ListModels(self, request: ListModelsRequest, context: Call) -> ListModelsResponse:
        self.calls.append(context)
        if self.raises is not None:
            raise self.raises
        await self.gate.wait()
        return ListModelsResponse(models=[ModelInfo(name=context.request_id)])

    async def Evaluate(self, request: EvaluateRequest, context: Call) -> AsyncIterator[EvaluateResponse]:
        self.calls.append(context)
        try:
            for index in range(self.count):
                yield EvaluateResponse(index=index, crystal_id=self.padding)
                await self.gate.wait()
            if self.raises is not None:
                raise self.raises
        finally:
            self.closed += 1


def methods_of(servicer: RelaxationServiceServicer) -> dict[str, Method]:
    return collect_methods([lambda server: add_RelaxationServiceServicer_to_server(servicer, server)])


@asynccontextmanager
async def hosted(
    servicer: RelaxationServiceServicer,
    *,
    runners: Sequence[Runner[Any, Any, Any]] = (),
    load: bool = True,
    **settings: Any,
) -> AsyncIterator[StandaloneProcess[ServiceSettings]]:
    """The servicer on a real server of its own, stopped at the end."""
    service = Service(
        "relaxation",
        ServiceSettings,
        lambda _settings, _metrics: Hosted(
            [lambda server: add_RelaxationServiceServicer_to_server(servicer, server)], runners
        ),
    )
    process = StandaloneProcess(service, ServiceSettings(**{"metrics_port": -1, **settings}))
    await process.start()
    try:
        if load:
            assert await process.load()
        yield process
    finally:
        await process.stop()


def channel_to(process: StandaloneProcess[ServiceSettings]) -> grpc.aio.Channel:
    """A bare channel: no retries, no token."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.aio.insecure_channel(f"127.0.0.1:{process.port}", options=options)


async def rest(stream: Any) -> list[int]:
    """The indices of the responses that are still to come, of a stream that `read` has begun to read."""
    indices = []
    while (response := await stream.read()) is not grpc.aio.EOF:
        indices.append(response.index)
    return indices


@asynccontextmanager
async def stub_to(process: StandaloneProcess[ServiceSettings]) -> AsyncIterator[Any]:
    async with channel_to(process) as channel:
        yield RelaxationServiceStub(channel)
