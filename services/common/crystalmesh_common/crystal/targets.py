"""Targets as callers write them: whether they can be meant, and their parts by name."""

from __future__ import annotations

import math
from collections.abc import Mapping

from crystalmesh.crystal.v1 import crystal_pb2, property_pb2
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh_common.crystal.composition_limits import composition_limits
from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_common.crystal.symmetry import SPACE_GROUPS
from crystalmesh_common.runtime.errors import InvalidFieldError, UnknownEnumValueError

MAX_FREE_TEXT_CHARACTERS = 4_000

_ATOMS = "atoms_in_cell"
_UNBOUNDED_ATOMS = 10**400
"""More than any bound can say: one that no crystal reaches contradicts nothing."""
_NAMES: Mapping[int, str] = {
    number: name.removeprefix("PROPERTY_").lower() for name, number in property_pb2.Property.items() if number
}


def check_target(target: Target) -> None:
    """Raise unless each part of a target is right by itself, and all can hold together.

    A target that says nothing passes, and so does one that nothing in the world fulfils. Raises
    InvalidFieldError, UnknownEnumValueError or ContradictoryTargetError; their field starts with "target".
    The first formula takes half a second, so this is not for an event loop.
    """
    ranges = target_ranges(target)
    crystal_system_of_target(target)
    if target.HasField("space_group_number") and not 1 <= target.space_group_number <= SPACE_GROUPS:
        raise InvalidFieldError(
            f"target.space_group_number: {target.space_group_number} is no space group, 1 to 230 are",
            field="target.space_group_number",
        )
    if len(target.free_text) > MAX_FREE_TEXT_CHARACTERS:
        raise InvalidFieldError(
            f"target.free_text has {len(target.free_text):,} characters; "
            f"at most {MAX_FREE_TEXT_CHARACTERS:,} are taken",
            field="target.free_text",
        )
    min_atoms, max_atoms = atoms_within(ranges, at_most=_UNBOUNDED_ATOMS)
    composition_limits(
        formula=target.formula,
        chemical_system=target.chemical_system,
        required=target.required_elements,
        allowed=target.allowed_elements,
        forbidden=target.forbidden_elements,
        min_atoms=min_atoms,
        max_atoms=max_atoms,
    )


def target_ranges(target: Target) -> dict[str, Range]:
    """The ranges of a target by the names that properties have in the API, in small letters.

    Raises InvalidFieldError for bounds that are none, and UnknownEnumValueError.
    """
    ranges: dict[str, Range] = {}
    for bounds in target.properties:
        name = property_name(bounds.property, "target.properties")
        if name in ranges:
            raise _bad_range(f"{name} is bounded twice")
        ranges[name] = _range(bounds, name)
    return ranges


def property_name(number: int, field: str) -> str:
    """The name of a property in the API, in small letters; raises UnknownEnumValueError."""
    if number not in _NAMES:
        raise UnknownEnumValueError(f"{field}: {number} is no Property", field=field)
    return _NAMES[number]


def crystal_system_of_target(target: Target) -> str:
    """The crystal system that a target asks for ("cubic"), "" for none; raises UnknownEnumValueError."""
    number = target.crystal_system
    if not number:
        return ""
    if number not in crystal_pb2.CrystalSystem.values():
        raise UnknownEnumValueError(
            f"target.crystal_system: {number} is no CrystalSystem", field="target.crystal_system"
        )
    return crystal_pb2.CrystalSystem.Name(number).removeprefix("CRYSTAL_SYSTEM_").lower()


def atoms_within(ranges: Mapping[str, Range], *, at_most: int) -> tuple[int, int]:
    """How many atoms a cell may have at least and at most, by the ranges and `at_most`."""
    atoms = ranges.get(_ATOMS, Range())
    low = 1 if atoms.min is None else max(1, math.ceil(atoms.min))
    high = at_most if atoms.max is None else min(at_most, math.floor(atoms.max))
    return low, high


def _range(bounds: PropertyRange, name: str) -> Range:
    low = bounds.min if bounds.HasField("min") else None
    high = bounds.max if bounds.HasField("max") else None
    if low is None and high is None:
        raise _bad_range(f"{name} has neither min nor max")
    if not all(bound is None or math.isfinite(bound) for bound in (low, high)):
        raise _bad_range(f"a bound of {name} is not a finite number")
    if low is not None and high is not None and low > high:
        raise _bad_range(f"{name} cannot be at least {low:g} and at most {high:g}")
    return Range(low, high)


def _bad_range(words: str) -> InvalidFieldError:
    return InvalidFieldError(f"target.properties: {words}", field="target.properties")
