"""The client side of GenerationService, for synchronous code."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Unpack

from crystalmesh.generation.v1.generation_service_pb2 import ListModelsRequest
from crystalmesh.generation.v1.generation_service_pb2_grpc import GenerationServiceStub
from crystalmesh.generation.v1.transition_pb2 import ProposeTransitionRequest
from crystalmesh_client import generation_questions as ask
from crystalmesh_client.calls import Caller
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


class GenerationClient:
    """New crystals, from synchronous code.

    The keywords of `GenerationSettings` and `SamplingSettings` say how they are made: `samples`,
    `generator`, `temperature`, `seed`, `max_atoms`, …
    """

    def __init__(self, connection: Connection) -> None:
        self._caller = Caller(connection, ask.SERVICE, GenerationServiceStub)

    def generate(
        self,
        target: TargetLike | None = None,
        *,
        reference: ReferenceLike | None = None,
        transition_text: str = "",
        **settings: Unpack[GenerationSettings],
    ) -> Candidates:
        """Crystals for a target, starting from a reference, once all samples are done.

        Without a target any crystal will do; without a reference the server draws one for each sample. Raises
        what is wrong with target or reference; a sample that is no crystal is among `parse_failures`, one
        with an error among `failures`.
        """
        prompt = Prompt(target, reference, id="0", transition_text=transition_text)
        outcomes = self._outcomes([prompt], GenerationOptions(**settings))
        with closing(outcomes):
            return ask.candidates_of(prompt.id, outcomes)

    def generate_stream(
        self,
        target: TargetLike | None = None,
        *,
        reference: ReferenceLike | None = None,
        transition_text: str = "",
        **settings: Unpack[GenerationSettings],
    ) -> Iterator[GenerationOutcome]:
        """The same, one outcome a sample, as each is done; a prompt that cannot be served has one for all.

        Closing the iterator, or leaving the loop over it, cancels the call.
        """
        prompt = Prompt(target, reference, id="0", transition_text=transition_text)
        return self._outcomes([prompt], GenerationOptions(**settings))

    def generate_many(
        self, prompts: Iterable[PromptLike], **settings: Unpack[GenerationSettings]
    ) -> Iterator[GenerationOutcome]:
        """The same for many prompts with distinct ids; `prompt_id` and `sample_index` say whose it is.

        Long lists travel in calls of 256 prompts, and duplicates are found within a call. When the server
        goes away and comes back, what has no outcome is made again. `timeout` bounds each call, in seconds.
        """
        return self._outcomes(to_prompts(prompts), GenerationOptions(**settings))

    def transition(
        self, target: TargetLike, reference: ReferenceLike, **settings: Unpack[SamplingSettings]
    ) -> Transition:
        """How to get from a known material to the target, in words, once the whole text is there."""
        options = ask.TransitionOptions(**settings)
        request = options.request(target, reference)
        with closing(self._caller.responses("ProposeTransition", request, options.timeout)) as responses:
            for response in responses:
                if response.WhichOneof("outcome") == "transition":
                    return transition_from(response.transition)
        raise ask.ended_early()

    def transition_stream(
        self, target: TargetLike, reference: ReferenceLike, **settings: Unpack[SamplingSettings]
    ) -> Iterator[str]:
        """The same piece by piece as the model writes it. Closing the iterator cancels the call."""
        options = ask.TransitionOptions(**settings)
        return self._pieces(options, options.request(target, reference))

    def models(self) -> list[GenerationModel]:
        """The models that the server generates with, the default first."""
        response = self._caller.look_up("ListModels", ListModelsRequest())
        return [ask.generation_model_from(message) for message in response.models]

    def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        self._caller.close()

    def _outcomes(
        self, prompts: list[Prompt], options: GenerationOptions
    ) -> Generator[GenerationOutcome, None, None]:
        outcomes = self._caller.outcomes(ask.generations(options), prompts, options.timeout)
        return (outcome for outcome in outcomes if outcome is not None)

    def _pieces(
        self, options: ask.TransitionOptions, request: ProposeTransitionRequest
    ) -> Generator[str, None, None]:
        with closing(self._caller.responses("ProposeTransition", request, options.timeout)) as responses:
            for response in responses:
                if response.WhichOneof("outcome") == "transition":
                    return
                yield response.text_delta
        raise ask.ended_early()
