"""PropertyService: translation between the wire and the runner, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1.prediction_pb2 import (
    PredictRequest,
    PredictResponse,
    PredictStreamRequest,
    PredictStreamResponse,
)
from crystalmesh.property.v1.property_service_pb2 import ListModelsRequest, ListModelsResponse
from crystalmesh.property.v1.property_service_pb2_grpc import PropertyServiceServicer
from crystalmesh_common.runtime.calls import CallContext
from crystalmesh_common.runtime.runner import RunnerState
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_property import convert, convert_cards
from crystalmesh_property.serving.models import ServedModels
from crystalmesh_property.stream_intake import StreamIntake
from crystalmesh_property.worker import PredictionRunner


class PropertyServicer(PropertyServiceServicer):
    """Serves models of properties."""

    def __init__(
        self,
        runner: PredictionRunner,
        models: ServedModels,
        limits: Limits,
        *,
        device: str,
        stream_crystals: int,
    ) -> None:
        self._runner = runner
        self._models = models
        self._limits = limits
        self._device = device
        self._stream_crystals = stream_crystals

    async def Predict(self, request: PredictRequest, context: CallContext) -> AsyncIterator[PredictResponse]:
        order = convert.predict_order(request, self._models, self._limits)
        outcomes = self._runner.stream(order.plan, _each(request.crystals), seconds=context.time_remaining())
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield convert.predict_response(order.ids[index], index, outcome)

    async def PredictStream(
        self, requests: AsyncIterator[PredictStreamRequest], context: CallContext
    ) -> AsyncIterator[PredictStreamResponse]:
        messages = aiter(requests)
        first = await anext(messages, PredictStreamRequest())
        plan = convert.plan_of(first.options, self._models)
        intake = StreamIntake(first, messages, self._limits, most=self._stream_crystals)
        outcomes = self._runner.stream(plan, intake.crystals(), seconds=context.time_remaining())
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield convert.predict_stream_response(intake.id_of(index), index, outcome)
                intake.answered(index)

    async def ListModels(self, request: ListModelsRequest, context: CallContext) -> ListModelsResponse:
        ready = self._runner.state is RunnerState.READY
        return ListModelsResponse(models=convert_cards.cards(self._models, ready=ready, device=self._device))


async def _each(crystals: Sequence[CrystalInput]) -> AsyncIterator[CrystalInput]:
    for crystal in crystals:
        yield crystal
