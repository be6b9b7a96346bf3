"""From planned batches to what the generation service is asked."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from crystalmesh.agent.v1.campaign_event_pb2 import PlannedBatch
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh.crystal.v1.property_pb2 import Property
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1.generation_pb2 import (
    GenerateRequest,
    GenerationConstraints,
    GenerationPrompt,
    Generator,
)
from crystalmesh.generation.v1.transition_pb2 import ReferenceMaterial, SamplingOptions
from crystalmesh_agent.campaigns.trials import prompt_id_of
from crystalmesh_agent.planning.choices import required_elements
from crystalmesh_common.crystal.composition_limits import formula_composition
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, MAX_ATOMIC_NUMBER

RADIOACTIVE = frozenset({43, 61, *range(84, MAX_ATOMIC_NUMBER + 1)})
"""Elements without a stable isotope."""

_REPLACE = re.compile(r"replace ([A-Z][a-z]?)")
_MAX_ATOMS = 20
_MAX_FREE_TEXT = 4000
_LEAST_DISTANCE_ANGSTROM = 0.5
"""Of two atoms, below which validation would drop the crystal."""
_MAX_KNOWN_FORMULAS = 1000


@dataclass(frozen=True)
class Start:
    """A batch, and the crystal that it starts from."""

    batch: PlannedBatch
    reference: ReferenceMaterial | None


def requests(
    spec: CampaignSpec, round_number: int, starts: Sequence[Start], made: Sequence[str]
) -> list[GenerateRequest]:
    """One request for all batches that are made alike: each sample a prompt of its own, so seeded apart.

    `made` are the formulas of earlier rounds, which are wanted least.
    """
    alike: dict[tuple[Generator.ValueType, float | None], list[GenerationPrompt]] = defaultdict(list)
    for position, start in enumerate(starts):
        batch = start.batch
        temperature = batch.temperature if batch.HasField("temperature") else None
        alike[batch.generator, temperature].extend(_prompts(spec, round_number, position, start))
    return [
        GenerateRequest(
            prompts=prompts,
            generator=generator,
            model=spec.models.generation,
            sampling=SamplingOptions(temperature=temperature, seed=round_seed(spec, round_number)),
            constraints=GenerationConstraints(
                max_atoms=_most_atoms(spec.target, prompts),
                symmetrize=True,
                min_distance_angstrom=_LEAST_DISTANCE_ANGSTROM,
                known_formulas=made[-_MAX_KNOWN_FORMULAS:],
            ),
            skip_transition=spec.skip_transition,
        )
        for (generator, temperature), prompts in alike.items()
    ]


def round_seed(spec: CampaignSpec, round_number: int) -> int:
    """The seed of a round, 0 to 2^64 - 1."""
    return int.from_bytes(sha256(f"{spec.seed} {round_number}".encode()).digest()[:8], "big")


def _prompts(
    spec: CampaignSpec, round_number: int, position: int, start: Start
) -> Iterable[GenerationPrompt]:
    target = _without_radioactive(_edited(spec.target, start.batch.edit), spec)
    for sample in range(start.batch.candidate_count):
        yield GenerationPrompt(
            id=prompt_id_of(round_number, position, sample),
            target=target,
            reference=start.reference,
        )


def _without_radioactive(target: Target, spec: CampaignSpec) -> Target:
    """Forbid what nobody could keep in a drawer, unless the target names it."""
    if not spec.allow_radioactive_elements:
        named = {*required_elements(target), *target.allowed_elements, *target.forbidden_elements}
        target.forbidden_elements.extend(sorted(RADIOACTIVE - named))
    return target


def _edited(target: Target, edit: str) -> Target:
    """The target with the edit made a part of it; words that are no known edit go along as text."""
    edited = Target()
    edited.CopyFrom(target)
    if match := _REPLACE.fullmatch(edit.strip()):
        number = ATOMIC_NUMBERS.get(match[1])
        if number is not None and number not in target.required_elements:
            edited.forbidden_elements.append(number)
            if number in edited.allowed_elements:
                edited.allowed_elements.remove(number)
                # An empty list would allow any.
                edited.allowed_elements[:] = edited.allowed_elements or target.required_elements
    elif edit:
        edited.free_text = f"{target.free_text} {edit}".strip()[:_MAX_FREE_TEXT]
    return edited


def _most_atoms(target: Target, prompts: Sequence[GenerationPrompt]) -> int:
    """As many as servers make unless they are asked for more; what is larger is asked for as it is needed."""
    largest = max((len(prompt.reference.crystal.crystal.atomic_numbers) for prompt in prompts), default=0)
    formula = sum(count for _, count in formula_composition(target.formula)) if target.formula else 0
    ranges = [wanted for wanted in target.properties if wanted.property == Property.PROPERTY_ATOMS_IN_CELL]
    bounds = [int(wanted.max if wanted.HasField("max") else wanted.min) for wanted in ranges]
    return max(_MAX_ATOMS, largest, formula, *bounds)
