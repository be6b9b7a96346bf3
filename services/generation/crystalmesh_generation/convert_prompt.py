"""One prompt: protobuf to what its crystals must be and are made from, with all validation of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from crystalmesh.crystal.v1.property_pb2 import PropertyValue
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1 import generation_pb2
from crystalmesh.generation.v1.generation_pb2 import GenerateRequest
from crystalmesh.generation.v1.transition_pb2 import ReferenceMaterial
from crystalmesh_common.crystal.composition import Composition
from crystalmesh_common.crystal.composition_limits import (
    CompositionLimits,
    composition_limits,
    formula_composition,
)
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_common.crystal.inputs import crystal_from_input
from crystalmesh_common.crystal.targets import (
    atoms_within,
    check_target,
    crystal_system_of_target,
    property_name,
    target_ranges,
)
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_generation.convert import IONIC_SUBSTITUTION, LANGUAGE_MODEL
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.samples.asked import KnownMaterial, Options, Prompt, Request, known_material

MAX_TRANSITION_CHARACTERS = 20_000
MAX_DESCRIPTION_CHARACTERS = 20_000


def request_of(
    message: GenerateRequest, *, atoms_per_crystal: int, reference_atoms: int | None = None
) -> Request:
    """What an order of one prompt asks for.

    `atoms_per_crystal` bounds the crystals that are read, `reference_atoms` the primitive cell of the
    reference. Raises an InvalidRequestError, ContradictoryTargetError among them, or as reading a crystal.
    """
    prompt = message.prompts[0]
    if len(prompt.transition_text) > MAX_TRANSITION_CHARACTERS:
        raise InvalidFieldError(
            f"transition_text has {len(prompt.transition_text):,} characters; "
            f"at most {MAX_TRANSITION_CHARACTERS:,} are taken",
            field="transition_text",
        )
    check_target(prompt.target)
    aim = _aim(prompt.target)
    limits = _limits(prompt.target, aim, message.constraints.max_atoms)
    aim = replace(aim, formula=limits.formula or ())
    reference = None
    if prompt.HasField("reference"):
        reference = _reference(prompt.reference, atoms_per_crystal, reference_atoms)
    elif (
        message.generator == IONIC_SUBSTITUTION
        and message.missing_reference == generation_pb2.MISSING_REFERENCE_OMIT
    ):
        raise InvalidFieldError(
            "ionic substitution needs a reference, and this prompt has none", field="reference"
        )
    return Request(
        Prompt(prompt.id, aim, limits, reference, prompt.transition_text.strip()), _options(message)
    )


def _aim(target: Target) -> Aim:
    """A target that passed the check, but for its formula."""
    return Aim(
        elements=_system(target.chemical_system),
        required=frozenset(target.required_elements),
        allowed=frozenset(target.allowed_elements),
        forbidden=frozenset(target.forbidden_elements),
        space_group_number=target.space_group_number if target.HasField("space_group_number") else None,
        crystal_system=crystal_system_of_target(target),
        ranges=target_ranges(target),
        text=target.free_text,
    )


def _limits(target: Target, aim: Aim, max_atoms: int) -> CompositionLimits:
    least, most = atoms_within(aim.ranges, at_most=max_atoms)
    return composition_limits(
        formula=target.formula,
        chemical_system=target.chemical_system,
        required=target.required_elements,
        allowed=target.allowed_elements,
        forbidden=target.forbidden_elements,
        min_atoms=least,
        max_atoms=most,
    )


def _options(message: GenerateRequest) -> Options:
    sampling, constraints = message.sampling, message.constraints
    return Options(
        model=message.model,
        writes=message.generator != IONIC_SUBSTITUTION,
        substitutes=message.generator != LANGUAGE_MODEL,
        seed=sampling.seed,
        temperature=sampling.temperature if sampling.HasField("temperature") else None,
        top_p=sampling.top_p,
        constrained=not constraints.unconstrained,
        min_distance_angstrom=constraints.min_distance_angstrom,
        symmetrize_within_angstrom=constraints.symmetry_tolerance_angstrom if constraints.symmetrize else 0.0,
        draws_references=message.missing_reference != generation_pb2.MISSING_REFERENCE_OMIT,
        with_transition=not message.skip_transition,
        known=_known(constraints.known_formulas),
    )


def _known(formulas: Sequence[str]) -> frozenset[Composition]:
    return frozenset(formula_composition(each, "constraints.known_formulas") for each in formulas)


def _reference(message: ReferenceMaterial, atoms_per_crystal: int, max_atoms: int | None) -> KnownMaterial:
    if not message.HasField("crystal"):
        raise InvalidFieldError("the reference has no crystal", field="reference.crystal")
    if len(message.structure_description) > MAX_DESCRIPTION_CHARACTERS:
        raise InvalidFieldError(
            f"reference.structure_description has {len(message.structure_description):,} characters; "
            f"at most {MAX_DESCRIPTION_CHARACTERS:,} are taken",
            field="reference.structure_description",
        )
    crystal = crystal_from_input(message.crystal, default_id="reference", max_atoms=atoms_per_crystal)
    return known_material(crystal, _values(message.properties), max_atoms=max_atoms)


def _values(messages: Iterable[PropertyValue]) -> dict[str, float]:
    values: dict[str, float] = {}
    for message in messages:
        name = property_name(message.property, "reference.properties")
        if name in values:
            raise InvalidFieldError(f"reference.properties gives {name} twice", field="reference.properties")
        if not math.isfinite(message.value):
            raise InvalidFieldError(
                f"reference.properties: {name} is {message.value}", field="reference.properties"
            )
        values[name] = message.value
    return values


def _system(text: str) -> frozenset[int]:
    return frozenset(ATOMIC_NUMBERS[symbol] for symbol in text.split("-")) if text else frozenset()
