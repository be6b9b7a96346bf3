"""One setting for every crystal, so that equal structures look alike on paper."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from moyopy import niggli_reduce

from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES
from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray, cell_parameters
from crystalmesh_common.crystal.symmetry import keeps_its_atoms, primitive_cell
from crystalmesh_common.runtime.errors import InvalidCrystalError

SYMPREC_ANGSTROM = 0.1
"""At which the symmetry of a standard setting is found."""

_TOLERANCES_ANGSTROM = (SYMPREC_ANGSTROM, 0.03, 0.01, 0.001)
_LEAST_ANGLE_DEGREES, _LARGEST_ANGLE_DEGREES = 30.0, 150.0


def standard_setting(crystal: Crystal) -> Crystal:
    """The crystal in its standard primitive cell, with its id, the same for the same input.

    Symmetry is found within 0.1 Å, or a tighter tolerance where that finds none; a crystal without any
    keeps its cell. Cells with an angle outside 30 to 150 degrees are Niggli-reduced. Atoms come by
    electronegativity, fractional coordinates are in [0, 1). Raises `InvalidCrystalError` for a cell that
    spans no volume.
    """
    return sorted_by_element(_without_needles(_primitive(crystal)))


def wrapped(frac_coords: FloatArray) -> FloatArray:
    """The images in [0, 1), also after rounding to single precision."""
    inside = frac_coords - np.floor(frac_coords)
    return np.where(inside > 1 - 1e-6, 0.0, inside)


def electronegativity_ranks(numbers: IntArray) -> IntArray:
    """The ranks of elements from the most metallic on; each element has a rank of its own."""
    ranks: IntArray = np.argsort(np.lexsort((np.arange(len(ELECTRONEGATIVITIES)), ELECTRONEGATIVITIES)))
    return ranks[numbers]


def sorted_by_element(crystal: Crystal) -> Crystal:
    """The same with atoms by electronegativity, then by their coordinates in [0, 1)."""
    sites = wrapped(crystal.frac_coords)
    # Noise of the last digits must not order sites that share a plane, nor part 0 from 1.
    planes = np.rint(sites * 1e4).astype(np.int64) % 10_000
    order = np.lexsort((planes[:, 2], planes[:, 1], planes[:, 0], electronegativity_ranks(crystal.numbers)))
    return Crystal(crystal.cell, crystal.numbers[order], sites[order], crystal.id)


def _primitive(crystal: Crystal) -> Crystal:
    if not crystal.volume:
        raise InvalidCrystalError("the cell spans no volume", field="cell_angstrom")
    for tolerance in _TOLERANCES_ANGSTROM:
        with suppress(InvalidCrystalError):
            found = primitive_cell(crystal, symprec=tolerance)
            if keeps_its_atoms(crystal, found):
                return found
    return crystal


def _without_needles(crystal: Crystal) -> Crystal:
    _, angles = cell_parameters(crystal.cell)
    if angles.min() >= _LEAST_ANGLE_DEGREES and angles.max() <= _LARGEST_ANGLE_DEGREES:
        return crystal
    try:
        cell, _ = niggli_reduce(crystal.cell.tolist())
    except ValueError as error:
        raise InvalidCrystalError("the cell spans no volume", field="cell_angstrom") from error
    # Of the reduced vectors the integer combinations are exact; the rest is rounding.
    change = np.rint(np.linalg.solve(crystal.cell.T, np.array(cell).T).T)  # reduced = change @ cell
    sites = crystal.frac_coords @ np.linalg.inv(change)
    return Crystal(change @ crystal.cell, crystal.numbers, sites, crystal.id)
