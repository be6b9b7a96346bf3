"""Requests as a whole: protobuf to orders, and all validation of what is not a matter of one prompt.

Orders hold the messages of the public API with every default filled in; `convert_prompt` reads a prompt.
Nothing heavy is imported here, since this runs in the service.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crystalmesh.generation.v1 import generation_pb2
from crystalmesh.generation.v1.generation_pb2 import (
    GenerateRequest,
    GenerateResponse,
    GenerationConstraints,
    GenerationPrompt,
)
from crystalmesh.generation.v1.transition_pb2 import ProposeTransitionRequest, SamplingOptions
from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidFieldError, UnknownEnumValueError
from crystalmesh_common.runtime.intake import check_ids
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_generation.serving.models import ModelFacts, ServedModels
from crystalmesh_generation.settings import DefaultGenerator

MAX_SAMPLES_PER_PROMPT = 10_000
MAX_TEMPERATURE = 2.0
DEFAULT_MAX_ATOMS = 20
SUBSTITUTED_MAX_ATOMS = 200
"""Without a model: as many as proposals can be compared in."""
MAX_KNOWN_FORMULAS = 1000
DEFAULT_TOLERANCE_ANGSTROM, LEAST_TOLERANCE_ANGSTROM, LARGEST_TOLERANCE_ANGSTROM = 0.1, 0.001, 1.0

LANGUAGE_MODEL = generation_pb2.GENERATOR_LANGUAGE_MODEL
IONIC_SUBSTITUTION = generation_pb2.GENERATOR_IONIC_SUBSTITUTION
BOTH = generation_pb2.GENERATOR_UNSPECIFIED
"""In orders: of the language model and of substitution the better one."""

_DEFAULTS = {
    DefaultGenerator.LANGUAGE_MODEL: LANGUAGE_MODEL,
    DefaultGenerator.IONIC_SUBSTITUTION: IONIC_SUBSTITUTION,
    DefaultGenerator.BOTH: BOTH,
}


@dataclass(frozen=True, eq=False)
class Order:
    """A request that is right as a whole. Its prompts are still as they came, but for their ids."""

    prompts: Sequence[GenerationPrompt]
    common: GenerateRequest  # all but the prompts, with every default filled in
    samples: int  # of each prompt
    reference_atoms: int | None  # that the model can read; None where no model is asked

    def of(self, prompt: GenerationPrompt) -> GenerateRequest:
        """The order of one prompt."""
        one = GenerateRequest(prompts=[prompt])
        one.MergeFrom(self.common)
        return one


def generate_order(
    request: GenerateRequest, models: ServedModels, *, default: DefaultGenerator, max_prompts: int
) -> Order:
    """Check a request; raises an InvalidRequestError or as `ServedModels.named` when it fails whole."""
    ids = [prompt.id or str(position) for position, prompt in enumerate(request.prompts)]
    check_ids(ids, "prompts", most=max_prompts)
    if request.samples_per_prompt > MAX_SAMPLES_PER_PROMPT:
        raise InvalidFieldError(
            f"samples_per_prompt is {request.samples_per_prompt:,}; "
            f"at most {MAX_SAMPLES_PER_PROMPT:,} are made",
            field="samples_per_prompt",
        )
    for field, enum in (
        ("generator", generation_pb2.Generator),
        ("missing_reference", generation_pb2.MissingReference),
    ):
        if getattr(request, field) not in enum.values():
            raise UnknownEnumValueError(f"{field}: {getattr(request, field)} is none", field=field)
    generator, model = _generator(request, models, default)
    max_atoms = model.max_atoms if model else SUBSTITUTED_MAX_ATOMS
    common = GenerateRequest(
        generator=generator,
        model=model.name if model else "",
        sampling=_sampling(request.sampling),
        constraints=_constraints(request.constraints, max_atoms),
        missing_reference=request.missing_reference or generation_pb2.MISSING_REFERENCE_DRAW,
        skip_transition=request.skip_transition,
    )
    prompts = []
    for prompt_id, prompt in zip(ids, request.prompts, strict=True):
        named = GenerationPrompt()
        named.CopyFrom(prompt)
        named.id = prompt_id
        prompts.append(named)
    reads = max_atoms if model and generator != IONIC_SUBSTITUTION else None
    return Order(prompts, common, request.samples_per_prompt or 1, reads)


def transition_order(request: ProposeTransitionRequest, models: ServedModels) -> Order:
    """The same for a transition alone; raises InvalidFieldError where target or reference is missing."""
    if not request.target.ListFields():
        raise InvalidFieldError("the target says nothing", field="target")
    if not request.HasField("reference"):
        raise InvalidFieldError("there is no reference", field="reference")
    model = models.named(request.model)
    common = GenerateRequest(
        generator=LANGUAGE_MODEL,
        model=model.name,
        sampling=_sampling(request.sampling),
        constraints=_constraints(GenerationConstraints(max_atoms=model.max_atoms), model.max_atoms),
        missing_reference=generation_pb2.MISSING_REFERENCE_OMIT,
    )
    prompt = GenerationPrompt(id="0", target=request.target, reference=request.reference)
    return Order([prompt], common, 1, model.max_atoms)


def response_of(outcome: object) -> GenerateResponse:
    """The outcome of a sample or prompt, but for its place in the request."""
    if isinstance(outcome, GenerateResponse):
        return outcome
    if isinstance(outcome, CrystalMeshError):
        return GenerateResponse(error=to_status(outcome))
    raise TypeError(f"{type(outcome).__name__} is no outcome of a sample")


def _generator(
    request: GenerateRequest, models: ServedModels, default: DefaultGenerator
) -> tuple[generation_pb2.Generator.ValueType, ModelFacts | None]:
    """Who makes the crystals, and the model that writes or only says what substituted ones are like."""
    if request.generator == LANGUAGE_MODEL:
        return LANGUAGE_MODEL, models.named(request.model)
    model = models.named(request.model) if request.model else models.default
    if request.generator == IONIC_SUBSTITUTION:
        return IONIC_SUBSTITUTION, model
    if default is DefaultGenerator.LANGUAGE_MODEL:
        return LANGUAGE_MODEL, models.named(request.model)
    return (_DEFAULTS[default] if model else IONIC_SUBSTITUTION), model


def _sampling(asked: SamplingOptions) -> SamplingOptions:
    if asked.HasField("temperature") and not 0 <= asked.temperature <= MAX_TEMPERATURE:
        raise InvalidFieldError(
            f"sampling.temperature is {asked.temperature:g}; 0 to 2 is possible", field="sampling.temperature"
        )
    if asked.HasField("top_p") and not 0 < asked.top_p <= 1:
        raise InvalidFieldError(
            f"sampling.top_p is {asked.top_p:g}; above 0 and up to 1 is possible", field="sampling.top_p"
        )
    filled = SamplingOptions()
    filled.CopyFrom(asked)
    filled.top_p = asked.top_p if asked.HasField("top_p") else 1.0
    return filled


def _constraints(asked: GenerationConstraints, max_atoms: int) -> GenerationConstraints:
    filled = GenerationConstraints()
    filled.CopyFrom(asked)
    if not asked.HasField("max_atoms"):
        filled.max_atoms = min(DEFAULT_MAX_ATOMS, max_atoms)
    if not 1 <= filled.max_atoms <= max_atoms:
        raise InvalidFieldError(
            f"constraints.max_atoms is {filled.max_atoms}; 1 to {max_atoms} is possible here",
            field="constraints.max_atoms",
        )
    distance = asked.min_distance_angstrom
    if not (math.isfinite(distance) and distance >= 0):
        raise InvalidFieldError(
            f"constraints.min_distance_angstrom is {distance:g}", field="constraints.min_distance_angstrom"
        )
    if len(asked.known_formulas) > MAX_KNOWN_FORMULAS:
        raise InvalidFieldError(
            f"constraints.known_formulas are {len(asked.known_formulas):,}; at most {MAX_KNOWN_FORMULAS:,}",
            field="constraints.known_formulas",
        )
    if not asked.HasField("symmetry_tolerance_angstrom"):
        filled.symmetry_tolerance_angstrom = DEFAULT_TOLERANCE_ANGSTROM
    tolerance = filled.symmetry_tolerance_angstrom
    if not LEAST_TOLERANCE_ANGSTROM <= tolerance <= LARGEST_TOLERANCE_ANGSTROM:
        raise InvalidFieldError(
            f"constraints.symmetry_tolerance_angstrom is {tolerance:g}; 0.001 to 1 is possible",
            field="constraints.symmetry_tolerance_angstrom",
        )
    return filled
