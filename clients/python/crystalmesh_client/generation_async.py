"""The client side of GenerationService, for asyncio code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Unpack

from crystalmesh.generation.v1.generation_service_pb2 import ListModelsRequest
from crystalmesh.generation.v1.generation_service_pb2_grpc import GenerationServiceStub
from crystalmesh.generation.v1.transition_pb2 import ProposeTransitionRequest
from crystalmesh_client import generation_questions as ask
from crystalmesh_client.calls import AsyncCaller
from crystalmesh_client.candidates import Candidates, GenerationOutcome
from crystalmesh_client.connection import Connection
from crystalmesh_client.generation_questions import GenerationModel
from crystalmesh_client.prompts import (
    GenerationOptions,
    GenerationSettings,
    Prompt,
    PromptLike,
    ReferenceLike,
    SamplingSettings,
    TargetLike,
    to_prompts,
)
from crystalmesh_client.transitions import Transition, transition_from


class AsyncGenerationClient:
    """New crystals, from asyncio code; each method like its namesake of `GenerationClient`."""

    def __init__(self, connection: Connection) -> None:
        self._caller = AsyncCaller(connection, ask.SERVICE, GenerationServiceStub)

    async def generate(
        self,
        target: TargetLike | None = None,
        *,
        reference: ReferenceLike | None = None,
        transition_text: str = "",
        **settings: Unpack[GenerationSettings],
    ) -> Candidates:
        """Crystals for a target, starting from a reference, once all samples are done."""
        prompt = Prompt(target, reference, id="0", transition_text=transition_text)
        outcomes = self._outcomes([prompt], GenerationOptions(**settings))
        async with aclosing(outcomes):
            return ask.candidates_of(prompt.id, [outcome async for outcome in outcomes])

    def generate_stream(
        self,
        target: TargetLike | None = None,
        *,
        reference: ReferenceLike | None = None,
        transition_text: str = "",
        **settings: Unpack[GenerationSettings],
    ) -> AsyncGenerator[GenerationOutcome, None]:
        """The same, one outcome a sample, as each is done. Closing the generator cancels the call."""
        prompt = Prompt(target, reference, id="0", transition_text=transition_text)
        return self._outcomes([prompt], GenerationOptions(**settings))

    def generate_many(
        self, prompts: Iterable[PromptLike], **settings: Unpack[GenerationSettings]
    ) -> AsyncGenerator[GenerationOutcome, None]:
        """The same for many prompts with distinct ids; `prompt_id` and `sample_index` say whose it is."""
        return self._outcomes(to_prompts(prompts), GenerationOptions(**settings))

    async def transition(
        self, target: TargetLike, reference: ReferenceLike, **settings: Unpack[SamplingSettings]
    ) -> Transition:
        """How to get from a known material to the target, in words, once the whole text is there."""
        options = ask.TransitionOptions(**settings)
        request = options.request(target, reference)
        async with aclosing(
            self._caller.responses("ProposeTransition", request, options.timeout)
        ) as responses:
            async for response in responses:
                if response.WhichOneof("outcome") == "transition":
                    return transition_from(response.transition)
        raise ask.ended_early()

    def transition_stream(
        self, target: TargetLike, reference: ReferenceLike, **settings: Unpack[SamplingSettings]
    ) -> AsyncGenerator[str, None]:
        """The same piece by piece as the model writes it. Closing the generator cancels the call."""
        options = ask.TransitionOptions(**settings)
        return self._pieces(options, options.request(target, reference))

    async def models(self) -> list[GenerationModel]:
        """The models that the server generates with, the default first."""
        response = await self._caller.look_up("ListModels", ListModelsRequest())
        return [ask.generation_model_from(message) for message in response.models]

    async def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        await self._caller.close()

    async def _outcomes(
        self, prompts: list[Prompt], options: GenerationOptions
    ) -> AsyncGenerator[GenerationOutcome, None]:
        async with aclosing(
            self._caller.outcomes(ask.generations(options), prompts, options.timeout)
        ) as outcomes:
            async for outcome in outcomes:
                if outcome is not None:
                    yield outcome

    async def _pieces(
        self, options: ask.TransitionOptions, request: ProposeTransitionRequest
    ) -> AsyncGenerator[str, None]:
        async with aclosing(
            self._caller.responses("ProposeTransition", request, options.timeout)
        ) as responses:
            async for response in responses:
                if response.WhichOneof("outcome") == "transition":
                    return
                yield response.text_delta
        raise ask.ended_early()
