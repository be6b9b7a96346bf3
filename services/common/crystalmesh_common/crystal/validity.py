"""Whether numbers are a crystal at all: the check that every input passes before it is computed with."""

from __future__ import annotations

import numpy as np

from crystalmesh_common.crystal.distances import closest_pair, plane_spacings
from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER, symbol_of
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    InvalidCrystalError,
    OverlappingAtomsError,
    TooManyAtomsError,
)

MAX_CELL_LENGTH_ANGSTROM = 1e4
MIN_PLANE_SPACING_ANGSTROM = 0.05
MAX_FRACTIONAL_COORDINATE = 1e6
"""Beyond it a double no longer tells where in the cell the atom is to 1e-9."""
MIN_VOLUME_PER_ATOM_CUBIC_ANGSTROM = 0.5
"""A quarter of what metallic hydrogen has at 500 GPa. It bounds how many neighbours a model can meet."""
MIN_DISTANCE_ANGSTROM = 0.01


def check_crystal(
    crystal: Crystal, *, max_atoms: int, min_distance_angstrom: float = MIN_DISTANCE_ANGSTROM
) -> None:
    """Return if models can compute with this crystal, else raise what is wrong with it.

    After it: 1 to `max_atoms` atoms of real elements, finite numbers, arrays that agree, a cell that
    spans a volume of sane size, at least 0.5 Å³ per atom, and no two atoms at one place. It says nothing
    about chemistry; a crystal may pass and be nonsense.

    Raises `InvalidCrystalError`, `TooManyAtomsError` or `OverlappingAtomsError`.
    """
    if len(crystal) > max_atoms:
        raise TooManyAtomsError(
            f"{len(crystal)} atoms; at most {max_atoms} are taken", atoms=len(crystal), max_atoms=max_atoms
        )
    _check_sites(crystal)
    _check_cell(crystal)
    pair = closest_pair(crystal, within_angstrom=min_distance_angstrom)
    if pair is not None:
        first, second = pair.first_site, pair.second_site
        raise OverlappingAtomsError(
            f"sites {first} ({symbol_of(int(crystal.numbers[first]))}) and {second}"
            f" ({symbol_of(int(crystal.numbers[second]))}) are {pair.distance_angstrom:.4f} Å apart",
            first_site=first,
            second_site=second,
            distance_angstrom=f"{pair.distance_angstrom:.6f}",
        )


def _check_sites(crystal: Crystal) -> None:
    n_atoms = len(crystal)
    if n_atoms == 0:
        raise InvalidCrystalError("there are no atoms", field="atomic_numbers")
    if crystal.frac_coords.shape != (n_atoms, 3):
        raise InvalidCrystalError(
            f"fractional coordinates have the shape {crystal.frac_coords.shape} instead of ({n_atoms}, 3)",
            field="fractional_coordinates",
        )
    # `not <=` and not `>`: NaN fails it too.
    for site, axis in np.argwhere(~(np.abs(crystal.frac_coords) <= MAX_FRACTIONAL_COORDINATE))[:1]:
        raise InvalidCrystalError(
            f"fractional coordinate {'xyz'[axis]} of site {site} is {crystal.frac_coords[site, axis]:g}",
            field="fractional_coordinates",
            site=site,
        )
    for site in np.flatnonzero((crystal.numbers < 1) | (crystal.numbers > MAX_ATOMIC_NUMBER))[:1]:
        raise InvalidCrystalError(
            f"site {site} has atomic number {crystal.numbers[site]}, which is no element",
            field="atomic_numbers",
            site=site,
        )
    moments = crystal.magnetic_moments
    if moments is not None and (moments.shape != (n_atoms,) or not np.isfinite(moments).all()):
        raise InvalidCrystalError(
            "magnetic moments must be one finite number per site", field="magnetic_moments_mu_b"
        )


def _check_cell(crystal: Crystal) -> None:
    cell = crystal.cell
    if cell.shape != (3, 3) or not np.isfinite(cell).all():
        raise InvalidCrystalError("the cell is not 9 finite numbers", field="cell_angstrom")
    # Entries first: the norm of 1e200 overflows.
    if np.abs(cell).max() > MAX_CELL_LENGTH_ANGSTROM or (
        np.linalg.norm(cell, axis=1).max() > MAX_CELL_LENGTH_ANGSTROM
    ):
        raise InvalidCrystalError(
            f"a lattice vector is longer than {MAX_CELL_LENGTH_ANGSTROM:g} Å", field="cell_angstrom"
        )
    spacing = float(plane_spacings(cell).min())
    if not spacing >= MIN_PLANE_SPACING_ANGSTROM:
        raise InvalidCrystalError(
            f"the cell spans no volume: opposite faces are {spacing:.3g} Å apart", field="cell_angstrom"
        )
    volume_per_atom = crystal.volume / len(crystal)
    if volume_per_atom < MIN_VOLUME_PER_ATOM_CUBIC_ANGSTROM:
        raise InvalidCrystalError(
            f"{volume_per_atom:.3g} Å³ per atom is denser than any solid", field="cell_angstrom"
        )
