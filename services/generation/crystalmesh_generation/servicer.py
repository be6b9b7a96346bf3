"""GenerationService: translation between the wire and the runner, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from crystalmesh.generation.v1.generation_pb2 import GenerateRequest, GenerateResponse, GenerationPrompt
from crystalmesh.generation.v1.generation_service_pb2 import ListModelsRequest, ListModelsResponse
from crystalmesh.generation.v1.generation_service_pb2_grpc import GenerationServiceServicer
from crystalmesh.generation.v1.transition_pb2 import (
    ProposeTransitionRequest,
    ProposeTransitionResponse,
    Transition,
)
from crystalmesh_common.runtime.calls import CallContext
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.runner import RunnerState
from crystalmesh_generation import convert, convert_cards
from crystalmesh_generation.convert import Order
from crystalmesh_generation.duplicates import Duplicates
from crystalmesh_generation.serving.models import ServedModels
from crystalmesh_generation.settings import GenerationSettings
from crystalmesh_generation.worker import EVERYTHING, SampleItem, WritingRunner


class GenerationServicer(GenerationServiceServicer):
    """Serves language models and ionic substitution."""

    def __init__(self, runner: WritingRunner, models: ServedModels, settings: GenerationSettings) -> None:
        self._runner = runner
        self._models = models
        self._settings = settings

    async def ProposeTransition(
        self, request: ProposeTransitionRequest, context: CallContext
    ) -> AsyncIterator[ProposeTransitionResponse]:
        order = convert.transition_order(request, self._models)
        whole = await self._checked(order, order.prompts[0])
        item = SampleItem(whole, 0, 1.0, only_transition=True)
        outcomes = self._runner.stream(EVERYTHING, _alone(item), seconds=context.time_remaining())
        async with aclosing(outcomes):
            async for _, outcome in outcomes:
                if isinstance(outcome, CrystalMeshError):
                    raise outcome
                if isinstance(outcome, Transition):
                    yield ProposeTransitionResponse(transition=outcome)
                elif isinstance(outcome, str):
                    yield ProposeTransitionResponse(text_delta=outcome)

    async def Generate(
        self, request: GenerateRequest, context: CallContext
    ) -> AsyncIterator[GenerateResponse]:
        order = convert.generate_order(
            request,
            self._models,
            default=self._settings.default_generator,
            max_prompts=self._settings.prompts_per_call,
        )
        places: list[tuple[int, int | None]] = []
        outcomes = self._runner.stream(
            EVERYTHING, self._samples(order, places), seconds=context.time_remaining()
        )
        duplicates = Duplicates()
        async with aclosing(outcomes):
            async for position, outcome in outcomes:
                index, number = places[position]
                response = convert.response_of(outcome)
                response.prompt_id = order.prompts[index].id
                response.index = index
                if number is not None:
                    response.sample_index = number
                if response.HasField("candidate"):
                    response.candidate.duplicate_of = await asyncio.to_thread(
                        duplicates.first_of, response.candidate.crystal
                    )
                yield response

    async def ListModels(self, request: ListModelsRequest, context: CallContext) -> ListModelsResponse:
        ready = self._runner.state is RunnerState.READY
        return ListModelsResponse(
            models=convert_cards.models(self._models, ready=ready, device=self._settings.device)
        )

    async def _samples(
        self, order: Order, places: list[tuple[int, int | None]]
    ) -> AsyncIterator[SampleItem | CrystalMeshError]:
        """The samples of all prompts; a prompt that cannot be served is one error.

        Where each is in the request goes to `places`: its prompt, and its number among the prompt's samples.
        """
        cost = float(self._settings.texts if order.reference_atoms is not None else 1)
        for index, prompt in enumerate(order.prompts):
            try:
                whole = await self._checked(order, prompt)
            except CrystalMeshError as error:
                places.append((index, None))
                yield error
                continue
            for number in range(order.samples):
                places.append((index, number))
                yield SampleItem(whole, number, cost)

    async def _checked(self, order: Order, prompt: GenerationPrompt) -> bytes:
        """The order of one prompt, once its prompt was found right; raises what is wrong with it."""
        return await asyncio.to_thread(_check, order, prompt, self._settings.limits.atoms_per_crystal)


def _check(order: Order, prompt: GenerationPrompt, atoms_per_crystal: int) -> bytes:
    from crystalmesh_generation.convert_prompt import request_of  # noqa: PLC0415 -- a second the first time

    message = order.of(prompt)
    request_of(message, atoms_per_crystal=atoms_per_crystal, reference_atoms=order.reference_atoms)
    return bytes(message.SerializeToString())


async def _alone(item: SampleItem) -> AsyncIterator[SampleItem]:
    yield item
