"""What GenerationService is asked, the same from synchronous and from asyncio code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crystalmesh.generation.v1 import generation_service_pb2
from crystalmesh.generation.v1.generation_pb2 import GenerateRequest, GenerateResponse
from crystalmesh.generation.v1.transition_pb2 import ProposeTransitionRequest
from crystalmesh_client.batches import Unanswered
from crystalmesh_client.candidates import (
    Candidate,
    Candidates,
    FailedSample,
    GenerationOutcome,
    ParseFailure,
    candidate_from,
    parse_failure_from,
)
from crystalmesh_client.models import Model, model_from
from crystalmesh_client.prompts import (
    GenerationOptions,
    Prompt,
    ReferenceLike,
    TargetLike,
    reference_to_proto,
    sampling_to_proto,
    to_target,
)
from crystalmesh_client.properties import property_name
from crystalmesh_client.questions import Question
from crystalmesh_common.runtime.errors import InternalError
from crystalmesh_common.runtime.statuses import from_status

SERVICE = "generation"


@dataclass(frozen=True)
class GenerationModel(Model):
    """A model that writes crystals."""

    engine: str  # what runs it: "transformers" or "vllm"
    max_atoms: int  # of the largest crystal that it can write
    max_tokens: int  # of the longest prompt and answer together
    predicted_properties: tuple[str, ...]  # empty: it predicts none


def generations(options: GenerationOptions) -> Question[Prompt, GenerationOutcome | None]:
    """Ask for crystals. What is read as None came before already, from a server that was lost."""
    asked = options.to_proto()
    come: dict[str, set[int]] = {}  # samples that have an outcome, by prompt

    def request(prompts: Sequence[Prompt]) -> GenerateRequest:
        message = GenerateRequest(prompts=[prompt.to_proto() for prompt in prompts])
        message.MergeFrom(asked)
        return message

    def read(response: GenerateResponse, unanswered: Unanswered[Prompt]) -> GenerationOutcome | None:
        prompt_id = response.prompt_id
        unanswered.underway(prompt_id)
        if not response.HasField("sample_index"):
            unanswered.answered(prompt_id)
            return FailedSample(
                prompt_id, from_status(response.error), prompt_id=prompt_id, sample_index=None
            )
        samples = come.setdefault(prompt_id, set())
        if response.sample_index >= options.samples:
            raise InternalError("the server answered about a sample that it was not asked for")
        is_new = response.sample_index not in samples
        samples.add(response.sample_index)
        if len(samples) == options.samples:
            unanswered.answered(prompt_id)
        return _outcome(response) if is_new else None

    return Question("Generate", request, read)


def candidates_of(prompt_id: str, outcomes: Iterable[GenerationOutcome]) -> Candidates:
    """What became of the samples of one prompt; raises what is wrong with the prompt as a whole."""
    candidates: list[Candidate] = []
    parse_failures: list[ParseFailure] = []
    failures: list[FailedSample] = []
    for outcome in outcomes:
        if isinstance(outcome, Candidate):
            candidates.append(outcome)
        elif isinstance(outcome, ParseFailure):
            parse_failures.append(outcome)
        elif outcome.sample_index is None:
            raise outcome.error
        else:
            failures.append(outcome)
    return Candidates(
        prompt_id,
        tuple(sorted(candidates, key=lambda each: each.sample_index)),
        tuple(sorted(parse_failures, key=lambda each: each.sample_index)),
        tuple(sorted(failures, key=lambda each: each.sample_index or 0)),
    )


@dataclass(frozen=True, kw_only=True)
class TransitionOptions:
    """`SamplingSettings` with every default."""

    model: str = ""
    temperature: float | None = None
    top_p: float | None = None
    seed: int = 0
    timeout: float | None = None

    def request(self, target: TargetLike, reference: ReferenceLike) -> ProposeTransitionRequest:
        """The message that asks for the way from reference to target."""
        return ProposeTransitionRequest(
            target=to_target(target).to_proto(),
            reference=reference_to_proto(reference),
            model=self.model,
            sampling=sampling_to_proto(self.temperature, self.top_p, self.seed),
        )


def generation_model_from(message: generation_service_pb2.GenerationModel) -> GenerationModel:
    """The typed form of a message."""
    return GenerationModel(
        **vars(model_from(message.model)),
        engine=message.engine,
        max_atoms=message.max_atoms,
        max_tokens=message.max_tokens,
        predicted_properties=tuple(map(property_name, message.predicted_properties)),
    )


def ended_early() -> InternalError:
    """What a transition fails with that has no end."""
    return InternalError("the server ended the call without the whole transition")


def _outcome(response: Any) -> GenerationOutcome:
    prompt_id, sample_index = response.prompt_id, response.sample_index
    match response.WhichOneof("outcome"):
        case "candidate":
            return candidate_from(response.candidate, prompt_id, sample_index)
        case "parse_failure":
            return parse_failure_from(response.parse_failure, prompt_id, sample_index)
        case _:
            name = f"{prompt_id}-{sample_index}"
            error = from_status(response.error)
            return FailedSample(name, error, prompt_id=prompt_id, sample_index=sample_index)
