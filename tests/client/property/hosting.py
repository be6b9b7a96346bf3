"""A property service that fails as told, as no real one can be made to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from crystalmesh.property.v1.prediction_pb2 import PredictStreamRequest, PredictStreamResponse
from crystalmesh.property.v1.property_service_pb2_grpc import (
    PropertyServiceServicer,
    add_PropertyServiceServicer_to_server,
)
from crystalmesh_common.runtime.calls import CallContext
from crystalmesh_common.runtime.settings import ServiceSettings
from tests.client.hosting import standing_in


class Oracle(PropertyServiceServicer):
    """Answers about each crystal with its position in the call, message by message and the last one first.

    Its first calls fail as told, after so many crystals were answered.
    """

    def __init__(self, *failures: BaseException, after: int = 0) -> None:
        self.failures = list(failures)
        self.after = after
        self.asked: list[list[str]] = []  # ids by call
        self.sizes: list[int] = []  # of messages
        self.gate = asyncio.Event()  # closed, nothing is read
        self.gate.set()
        self.ends_after: int | None = None  # outcomes after which it ends the call well
        self.wrong_index = False
        self.ended = 0  # calls, for whatever reason

    async def PredictStream(
        self, requests: AsyncIterator[PredictStreamRequest], context: CallContext
    ) -> AsyncIterator[PredictStreamResponse]:
        failure = self.failures.pop(0) if self.failures else None
        ids: list[str] = []
        self.asked.append(ids)
        answered = 0
        try:
            if failure is not None and self.after == 0:
                raise failure
            async for request in requests:
                await self.gate.wait()
                self.sizes.append(request.ByteSize())
                start = len(ids)
                ids += [given.id for given in request.crystals]
                for position in reversed(range(start, len(ids))):
                    if failure is not None and answered == self.after:
                        raise failure
                    if answered == self.ends_after:
                        return
                    index = position + 10_000 * self.wrong_index
                    response = PredictStreamResponse(crystal_id=ids[position], index=index)
                    response.prediction.values.add(property=2, value=position)
                    yield response
                    answered += 1
        finally:
            self.ended += 1


@asynccontextmanager
async def hosted(servicer: PropertyServiceServicer, **settings: Any) -> AsyncIterator[str]:
    """The address of a server of its own with this servicer."""
    server = standing_in(
        "property",
        ServiceSettings(**{"metrics_port": -1, **settings}),
        lambda server: add_PropertyServiceServicer_to_server(servicer, server),
    )
    async with server as address:
        try:
            yield address
        finally:
            if isinstance(servicer, Oracle):
                servicer.gate.set()
