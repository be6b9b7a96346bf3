"""One prompt: protobuf to what its crystals must be and are made from, with all validation of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from crystalmesh.crystal.v1 import crystal_pb2, property_pb2
from crystalmesh.crystal.v1.property_pb2 import PropertyValue
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh.generation.v1 import generation_pb2
from crystalmesh.generation.v1.generation_pb2 import GenerateRequest
from crystalmesh.generation.v1.transition_pb2 import ReferenceMaterial
from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_common.crystal.inputs import crystal_from_input
from crystalmesh_common.crystal.symmetry import SPACE_GROUPS
from crystalmesh_common.runtime.errors import InvalidFieldError, UnknownEnumValueError
from crystalmesh_generation.convert import IONIC_SUBSTITUTION, LANGUAGE_MODEL
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.limits import CompositionLimits, composition_limits
from crystalmesh_generation.samples.asked import KnownMaterial, Options, Prompt, Request, known_material

MAX_FREE_TEXT_CHARACTERS = 4_000
MAX_TRANSITION_CHARACTERS = 20_000
MAX_DESCRIPTION_CHARACTERS = 20_000

_ATOMS = "atoms_in_cell"
_NAMES: Mapping[int, str] = {
    number: name.removeprefix("PROPERTY_").lower() for name, number in property_pb2.Property.items() if number
}


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
    """The target but for its formula; raises InvalidFieldError or UnknownEnumValueError."""
    if len(target.free_text) > MAX_FREE_TEXT_CHARACTERS:
        raise InvalidFieldError(
            f"target.free_text has {len(target.free_text):,} characters; "
            f"at most {MAX_FREE_TEXT_CHARACTERS:,} are taken",
            field="target.free_text",
        )
    return Aim(
        elements=_system(target.chemical_system),
        required=frozenset(target.required_elements),
        allowed=frozenset(target.allowed_elements),
        forbidden=frozenset(target.forbidden_elements),
        space_group_number=_space_group(target),
        crystal_system=_crystal_system(target),
        ranges=_ranges(target.properties),
        text=target.free_text,
    )


def _limits(target: Target, aim: Aim, max_atoms: int) -> CompositionLimits:
    atoms = aim.ranges.get(_ATOMS, Range())
    return composition_limits(
        formula=target.formula,
        chemical_system=target.chemical_system,
        required=target.required_elements,
        allowed=target.allowed_elements,
        forbidden=target.forbidden_elements,
        min_atoms=1 if atoms.min is None else max(1, math.ceil(atoms.min)),
        max_atoms=max_atoms if atoms.max is None else min(max_atoms, math.floor(atoms.max)),
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
    )


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
        name = _name(message.property, "reference.properties")
        if name in values:
            raise InvalidFieldError(f"reference.properties gives {name} twice", field="reference.properties")
        if not math.isfinite(message.value):
            raise InvalidFieldError(
                f"reference.properties: {name} is {message.value}", field="reference.properties"
            )
        values[name] = message.value
    return values


def _ranges(messages: Iterable[PropertyRange]) -> dict[str, Range]:
    field = "target.properties"
    ranges: dict[str, Range] = {}
    for message in messages:
        name = _name(message.property, field)
        if name in ranges:
            raise InvalidFieldError(f"{field} bounds {name} twice", field=field)
        low = message.min if message.HasField("min") else None
        high = message.max if message.HasField("max") else None
        if low is None and high is None:
            raise InvalidFieldError(f"{field}: {name} has neither min nor max", field=field)
        if not all(bound is None or math.isfinite(bound) for bound in (low, high)):
            raise InvalidFieldError(f"{field}: a bound of {name} is not a finite number", field=field)
        if low is not None and high is not None and low > high:
            raise InvalidFieldError(
                f"{field}: {name} cannot be at least {low:g} and at most {high:g}", field=field
            )
        ranges[name] = Range(low, high)
    return ranges


def _name(number: int, field: str) -> str:
    if number not in _NAMES:
        raise UnknownEnumValueError(f"{field}: {number} is no Property", field=field)
    return _NAMES[number]


def _system(text: str) -> frozenset[int]:
    """What is no element, `composition_limits` refuses."""
    return frozenset(ATOMIC_NUMBERS[symbol] for symbol in text.split("-") if symbol in ATOMIC_NUMBERS)


def _space_group(target: Target) -> int | None:
    if target.WhichOneof("symmetry") != "space_group_number":
        return None
    if not 1 <= target.space_group_number <= SPACE_GROUPS:
        raise InvalidFieldError(
            f"target.space_group_number: {target.space_group_number} is no space group, 1 to 230 are",
            field="target.space_group_number",
        )
    return target.space_group_number


def _crystal_system(target: Target) -> str:
    number = target.crystal_system
    if target.WhichOneof("symmetry") != "crystal_system" or not number:
        return ""
    if number not in crystal_pb2.CrystalSystem.values():
        raise UnknownEnumValueError(
            f"target.crystal_system: {number} is no CrystalSystem", field="target.crystal_system"
        )
    return crystal_pb2.CrystalSystem.Name(number).removeprefix("CRYSTAL_SYSTEM_").lower()
