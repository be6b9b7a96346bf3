"""A service that does as its callers say, of every streaming kind; a mesh under test hosts it by import path.

An order is a word, and what it works on: "echo:one", "work:0.2" (seconds on the device), "refuse", "break",
"die", "hang", "flood".
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager

from crystalmesh.property.v1.prediction_pb2 import (
    PredictRequest,
    PredictResponse,
    PredictStreamRequest,
    PredictStreamResponse,
)
from crystalmesh.property.v1.property_service_pb2 import ListModelsRequest, ListModelsResponse
from crystalmesh.property.v1.property_service_pb2_grpc import (
    PropertyServiceServicer,
    add_PropertyServiceServicer_to_server,
)
from crystalmesh.retrieval.v1.ingestion_pb2 import AddMaterialsRequest, AddMaterialsResponse
from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import (
    RetrievalServiceServicer,
    add_RetrievalServiceServicer_to_server,
)
from crystalmesh_common.runtime.calls import Call
from crystalmesh_common.runtime.errors import CrystalMeshError, QueueFullError
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.runner import Runner
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_common.runtime.settings import ServiceSettings

ORDER_KEY = "order"  # metadata of unary calls
LOADING_VARIABLE = "RAY_FAKES_LOADING_SECONDS"
SECRET = "what only the operator may read"


class Sleeper:
    """A device that is busy for as long as an item says."""

    def cost(self, item: float) -> float:
        return item

    def run(self, key: str, items: Sequence[float]) -> Sequence[float | CrystalMeshError]:
        time.sleep(sum(items))
        return items

    def close(self) -> None:
        """Nothing is held."""


class Orders:
    """Obeys, and counts the calls in hand and the uploads that were complete."""

    def __init__(self) -> None:
        self.in_hand = 0
        self.uploads = 0

    async def obey(self, order: str) -> str:
        word, _, rest = order.partition(":")
        if word == "refuse":
            raise QueueFullError("no room", retry_after_seconds=2.5, limit=3)
        if word == "break":
            raise ValueError(SECRET)
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "hang":
            await asyncio.sleep(600)
        return rest

    @contextmanager
    def held(self) -> Iterator[None]:
        self.in_hand += 1
        try:
            yield
        finally:
            self.in_hand -= 1


class ObedientPredictor(PropertyServiceServicer):
    """Takes an order in the id of each crystal."""

    def __init__(self, orders: Orders, runner: Runner[str, float, float]) -> None:
        self._orders = orders
        self._runner = runner

    async def ListModels(self, request: ListModelsRequest, context: Call) -> ListModelsResponse:
        """One model more than calls are in hand, named by the uploads that were complete."""
        await self._orders.obey(str(context.metadata.get(ORDER_KEY, "echo:")))
        response = ListModelsResponse()
        for _ in range(self._orders.in_hand + 1):
            response.models.add().model.name = str(self._orders.uploads)
        return response

    async def Predict(self, request: PredictRequest, context: Call) -> AsyncIterator[PredictResponse]:
        given = [item.id for item in request.crystals]
        with self._orders.held():
            if given[0].startswith("work:"):
                jobs = self._runner.stream("jobs", _seconds(given), seconds=context.time_remaining())
                async with aclosing(jobs):
                    async for index, _ in jobs:
                        yield PredictResponse(index=index)
                return
            for index, order in enumerate(given):
                while order == "flood":
                    yield PredictResponse(index=index)
                    await asyncio.sleep(0.001)
                yield PredictResponse(index=index, crystal_id=await self._orders.obey(order))

    async def PredictStream(
        self, request: AsyncIterator[PredictStreamRequest], context: Call
    ) -> AsyncIterator[PredictStreamResponse]:
        with self._orders.held():
            async for message in request:
                for item in message.crystals:
                    yield PredictStreamResponse(crystal_id=await self._orders.obey(item.id))


class ObedientLibrarian(RetrievalServiceServicer):
    """Counts what it is given."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def AddMaterials(
        self, request: AsyncIterator[AddMaterialsRequest], context: Call
    ) -> AddMaterialsResponse:
        with self._orders.held():
            count = 0
            async for message in request:
                count += len(message.materials)
            self._orders.uploads += 1
            return AddMaterialsResponse(received_count=count)


async def _seconds(orders: Sequence[str]) -> AsyncIterator[float | CrystalMeshError]:
    for order in orders:
        yield float(order.removeprefix("work:"))


def build(settings: ServiceSettings, metrics: Metrics) -> Hosted:
    def load() -> Sleeper:
        time.sleep(float(os.environ.get(LOADING_VARIABLE, "0")))
        return Sleeper()

    runner: Runner[str, float, float] = Runner(
        load, max_batch_cost=0.01, queued_calls=settings.limits.queued_calls, metrics=metrics
    )
    orders = Orders()
    predictor, librarian = ObedientPredictor(orders, runner), ObedientLibrarian(orders)
    return Hosted(
        registrations=[
            lambda server: add_PropertyServiceServicer_to_server(predictor, server),
            lambda server: add_RetrievalServiceServicer_to_server(librarian, server),
        ],
        runners=[runner],
    )


SERVICE = Service("property", ServiceSettings, build)
