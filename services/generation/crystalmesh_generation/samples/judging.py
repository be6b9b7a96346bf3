"""What a crystal alone shows: whether it can be, its symmetry, and which parts of a target it misses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from crystalmesh_common.crystal.composition import (
    composition_of,
    density_g_per_cubic_centimeter,
    reduced_composition,
)
from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_common.crystal.generative_validity import Validity, validity_of
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import atoms_in_primitive_cell, space_group_number
from crystalmesh_common.runtime.errors import InvalidCrystalError
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.pairs.standard import SYMPREC_ANGSTROM

_SYSTEM_ENDS = {
    "triclinic": 2,
    "monoclinic": 15,
    "orthorhombic": 74,
    "tetragonal": 142,
    "trigonal": 167,
    "hexagonal": 194,
    "cubic": 230,
}


@dataclass(frozen=True)
class Judgement:
    """Whether a crystal can be one, and what it is."""

    crystal: Crystal
    aim: Aim
    validity: Validity

    @property
    def valid(self) -> bool:
        return self.validity.valid

    @cached_property
    def space_group_number(self) -> int:
        """Within 0.1 Å; 1 where it cannot be determined."""
        with suppress(InvalidCrystalError):
            return space_group_number(self.crystal, symprec=SYMPREC_ANGSTROM)
        return 1

    @cached_property
    def missed(self) -> tuple[str, ...]:
        """Fields of the target."""
        return _missed(self)


def judge(crystal: Crystal, aim: Aim) -> Judgement:
    """The judgement on any crystal, possible or not."""
    return Judgement(crystal, aim, validity_of(crystal))


def asks_for_symmetry(aim: Aim) -> bool:
    """Whether not every space group will do."""
    return aim.space_group_number is not None or bool(aim.crystal_system)


def has_symmetry(space_group_number: int, aim: Aim) -> bool:
    """Whether a space group is what is asked for; any is where none is."""
    if aim.space_group_number is not None:
        return space_group_number == aim.space_group_number
    return not aim.crystal_system or crystal_system_of(space_group_number) == aim.crystal_system


def crystal_system_of(space_group_number: int) -> str:
    """The crystal system of a space group: "cubic" for 227."""
    return next(name for name, last in _SYSTEM_ENDS.items() if space_group_number <= last)


def _missed(judged: Judgement) -> tuple[str, ...]:
    crystal, aim = judged.crystal, judged.aim
    present = {number for number, _ in composition_of(crystal)}
    allowed = aim.allowed | aim.required
    shown = {
        "properties": not _in_ranges(crystal, aim),
        "required_elements": not aim.required <= present,
        "allowed_elements": bool(aim.allowed) and not present <= allowed,
        "forbidden_elements": bool(aim.forbidden & present),
        "formula": bool(aim.formula) and reduced_composition(crystal) != aim.formula,
        "chemical_system": bool(aim.elements) and present != aim.elements,
        # Symmetry takes longer than all else together.
        "space_group_number" if aim.space_group_number else "crystal_system": asks_for_symmetry(aim)
        and not has_symmetry(judged.space_group_number, aim),
    }
    return tuple(field for field, is_missed in shown.items() if is_missed)


def _in_ranges(crystal: Crystal, aim: Aim) -> bool:
    """Whether what follows from the structure alone lies in the target's ranges."""
    density = aim.ranges.get("density_g_per_cubic_centimeter")
    if density is not None and not _within(density_g_per_cubic_centimeter(crystal), density):
        return False
    atoms = aim.ranges.get("atoms_in_cell")
    return atoms is None or _within(atoms_in_primitive_cell(crystal, symprec=SYMPREC_ANGSTROM), atoms)


def _within(value: float, wanted: Range) -> bool:
    return (wanted.min is None or value >= wanted.min) and (wanted.max is None or value <= wanted.max)
