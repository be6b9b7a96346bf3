"""Crystals moved to the symmetry that a target asks for, and the text that shows their symmetry."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import keeps_its_atoms, primitive_cell, space_group_number
from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime.errors import InvalidCrystalError
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.pairs.standard import SYMPREC_ANGSTROM
from crystalmesh_generation.samples.judging import asks_for_symmetry, has_symmetry

_STEPS = 6
_FINAL_SYMPREC_ANGSTROM = 1e-3


def symmetrized(crystal: Crystal, aim: Aim, tolerance_angstrom: float) -> Crystal | None:
    """The standard primitive cell with the symmetry asked for, atoms moved by at most the tolerance.

    None where no symmetry is asked for, or the crystal is not within the tolerance of it. Symmetry is
    looked for at the tolerance and at halves of it, since a wide one may find more than was asked for.
    """
    if not asks_for_symmetry(aim):
        return None
    for step in range(_STEPS):
        symprec = tolerance_angstrom / 2**step
        with suppress(InvalidCrystalError):
            if not has_symmetry(space_group_number(crystal, symprec=symprec), aim):
                continue
            moved = primitive_cell(crystal, symprec=symprec)
            if keeps_its_atoms(crystal, moved) and has_symmetry(
                space_group_number(moved, symprec=_FINAL_SYMPREC_ANGSTROM), aim
            ):
                return replace(moved, id=crystal.id)
    return None


def cif_text(crystal: Crystal) -> str:
    """The crystal as CIF with the symmetry within 0.1 Å; site by site where that would merge atoms."""
    with suppress(InvalidCrystalError):
        primitive = primitive_cell(crystal, symprec=SYMPREC_ANGSTROM)
        if keeps_its_atoms(crystal, primitive):
            return crystal_to_cif(crystal, symprec=SYMPREC_ANGSTROM)
    return crystal_to_cif(crystal)
