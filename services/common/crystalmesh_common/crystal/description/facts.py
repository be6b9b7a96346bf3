"""What can be said about a crystal without a model."""

from __future__ import annotations

from dataclasses import dataclass

from crystalmesh_common.crystal.composition import (
    anonymous_formula,
    chemical_system,
    density_g_per_cubic_centimeter,
    reduced_formula,
)
from crystalmesh_common.crystal.distances import shortest_distance
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import DEFAULT_SYMPREC_ANGSTROM, Symmetry, symmetry_of


@dataclass(frozen=True)
class Description:
    """Facts that follow from the structure alone."""

    reduced_formula: str
    anonymous_formula: str
    chemical_system: str
    n_atoms: int
    volume_cubic_angstrom: float
    volume_per_atom_cubic_angstrom: float
    density_g_per_cubic_centimeter: float
    shortest_distance_angstrom: float
    symmetry: Symmetry


def describe(crystal: Crystal, *, symprec: float = DEFAULT_SYMPREC_ANGSTROM) -> Description:
    """The description of a crystal that passed `check_crystal`.

    Raises `InvalidCrystalError` where the symmetry cannot be determined.
    """
    return Description(
        reduced_formula=reduced_formula(crystal),
        anonymous_formula=anonymous_formula(crystal),
        chemical_system=chemical_system(crystal),
        n_atoms=len(crystal),
        volume_cubic_angstrom=crystal.volume,
        volume_per_atom_cubic_angstrom=crystal.volume / len(crystal),
        density_g_per_cubic_centimeter=density_g_per_cubic_centimeter(crystal),
        shortest_distance_angstrom=shortest_distance(crystal),
        symmetry=symmetry_of(crystal, symprec=symprec),
    )
