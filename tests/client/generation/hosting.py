"""A generation service that does as told: what a real one makes cannot be told, nor when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field, replace

from crystalmesh.generation.v1 import candidate_pb2, generation_pb2, generation_service_pb2, transition_pb2
from crystalmesh.generation.v1.generation_service_pb2_grpc import (
    GenerationServiceServicer,
    add_GenerationServiceServicer_to_server,
)
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime.calls import CallContext
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelNotFoundError
from crystalmesh_common.runtime.settings import ServiceSettings
from crystalmesh_common.runtime.statuses import to_status
from tests.client.hosting import in_a_thread, standing_in
from tests.conftest import sodium_chloride

MODEL = "scribe"
TEXT = "Replace K by Na. The cell shrinks by 8%, & the gap <opens>."

CIF = crystal_to_cif(sodium_chloride(), symprec=0.1)
WRITTEN = transition_pb2.TRANSITION_ORIGIN_MODEL

Edit = Callable[[generation_pb2.GenerateResponse], None]


@dataclass
class Workshop(GenerationServiceServicer):
    """Makes rock salt for every sample, the last sample of each prompt first, edited as told."""

    edits: dict[int, Edit] = field(default_factory=dict)  # by sample
    refused: dict[str, CrystalMeshError] = field(default_factory=dict)  # prompts, by id
    failures: list[CrystalMeshError] = field(default_factory=list)  # of the first calls
    after: int = 0  # outcomes, before a call fails or waits
    asked: list[generation_pb2.GenerateRequest] = field(default_factory=list)
    asked_ways: list[transition_pb2.ProposeTransitionRequest] = field(default_factory=list)
    ended: int = 0  # calls, for whatever reason
    waits: bool = False  # after so many outcomes, until the caller goes away
    cut: bool = False  # transitions have no end

    async def Generate(
        self, request: generation_pb2.GenerateRequest, context: CallContext
    ) -> AsyncIterator[generation_pb2.GenerateResponse]:
        self.asked.append(request)
        failure = self.failures.pop(0) if self.failures else None
        answered = 0
        try:
            if request.model not in {"", MODEL}:
                raise ModelNotFoundError(f"there is no model {request.model}")
            for response in self._responses(request):
                if answered == self.after and failure is not None:
                    raise failure
                if answered == self.after and self.waits:
                    await asyncio.Event().wait()
                yield response
                answered += 1
        finally:
            self.ended += 1

    async def ProposeTransition(
        self, request: transition_pb2.ProposeTransitionRequest, context: CallContext
    ) -> AsyncIterator[transition_pb2.ProposeTransitionResponse]:
        self.asked_ways.append(request)
        try:
            for word in TEXT.split(" "):
                yield transition_pb2.ProposeTransitionResponse(text_delta=f"{word} ")
                if self.waits:
                    await asyncio.Event().wait()
            if not self.cut:
                way = transition_pb2.Transition(
                    text=TEXT, origin=WRITTEN, reference_id="KCl", model=MODEL, log_probability=-12.5
                )
                yield transition_pb2.ProposeTransitionResponse(transition=way)
        finally:
            self.ended += 1

    async def ListModels(
        self, request: generation_service_pb2.ListModelsRequest, context: CallContext
    ) -> generation_service_pb2.ListModelsResponse:
        models = generation_service_pb2.ListModelsResponse()
        model = models.models.add(engine="vllm", max_atoms=20, max_tokens=768, predicted_properties=[1, 2])
        model.model.name, model.model.ready, model.model.is_default = MODEL, True, True
        return models

    def _responses(
        self, request: generation_pb2.GenerateRequest
    ) -> Iterator[generation_pb2.GenerateResponse]:
        for index, prompt in enumerate(request.prompts):
            if prompt.id in self.refused:
                error = to_status(self.refused[prompt.id])
                yield generation_pb2.GenerateResponse(prompt_id=prompt.id, index=index, error=error)
                continue
            for sample in reversed(range(request.samples_per_prompt)):
                response = candidate(prompt.id, index, sample)
                if sample in self.edits:
                    self.edits[sample](response)
                yield response


def candidate(prompt_id: str, index: int, sample: int) -> generation_pb2.GenerateResponse:
    """Rock salt as a language model would have made it."""
    crystal = replace(sodium_chloride(), id=f"{prompt_id}-{sample}")
    response = generation_pb2.GenerateResponse(prompt_id=prompt_id, index=index, sample_index=sample)
    made = response.candidate
    made.crystal.CopyFrom(crystal_to_proto(crystal))
    made.cif_text = CIF
    made.alx_text = "4.0 4.0 4.0 60 60 60 Na 0.00 0.00 0.00 Cl 0.50 0.50 0.50"
    made.transition.text, made.transition.origin, made.transition.reference_id = TEXT, WRITTEN, "KCl"
    made.transition.model = made.origin.language_model.model = MODEL
    made.origin.language_model.temperature = 0.8
    made.origin.reference_id, made.origin.seed = "KCl", 1000 + sample
    made.log_probability = -3.5
    made.predicted_properties.add(property=2, value=5.1, uncertainty=0.2, unit="eV").source.name = MODEL
    made.validity.structure_valid = made.validity.composition_valid = True
    made.validity.formula, made.validity.space_group_number = "NaCl", 225
    made.validity.shortest_distance_angstrom, made.validity.volume_cubic_angstrom = 2.845, 46.1
    return response


def malformed(response: generation_pb2.GenerateResponse) -> None:
    """Make it text that is no crystal."""
    failure = candidate_pb2.ParseFailure(
        kind=candidate_pb2.PARSE_FAILURE_KIND_MALFORMED,
        message="a cell has three lengths",
        alx_text="4.0 <4.0> Na",
        origin=response.candidate.origin,
    )
    response.parse_failure.CopyFrom(failure)


def failing(error: CrystalMeshError) -> Edit:
    """Make it an error."""
    return lambda response: response.error.CopyFrom(to_status(error))


def substituted(response: generation_pb2.GenerateResponse) -> None:
    """Make it one of ionic substitution, invalid, and the same as another one."""
    made = response.candidate
    origin = made.origin.ionic_substitution
    origin.substitutions.add(from_atomic_number=19, to_atomic_number=11)
    origin.probability = 0.25
    made.ClearField("log_probability")
    made.ClearField("transition")
    made.ClearField("predicted_properties")
    made.validity.composition_valid = False
    made.validity.missed_target_fields.append("space_group_number")
    made.duplicate_of = f"{response.prompt_id}-0"


def hosted(servicer: Workshop) -> AbstractAsyncContextManager[str]:
    """The address of a server of its own with this servicer."""
    return standing_in(
        "generation",
        ServiceSettings(metrics_port=-1),
        lambda server: add_GenerationServiceServicer_to_server(servicer, server),
    )


def served(servicer: Workshop) -> AbstractContextManager[str]:
    """The same for synchronous code."""
    return in_a_thread(hosted(servicer))
