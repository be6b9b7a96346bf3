"""How the force on each atom changes as another moves, by moving atoms one by one.

Few need to be moved: those that a symmetry operation carries into each other are moved once, and in a
supercell only those of its first cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_relaxation.engine import Evaluation
from crystalmesh_relaxation.mechanics.supercell import Repeats, supercell
from crystalmesh_relaxation.procedure import Procedure
from crystalmesh_relaxation.relaxing.symmetry import SymmetryProjection

_SYMMETRY_TOLERANCE_ANGSTROM = 1e-3
"""A tenth of the usual displacement: atoms that are alike to within it have the same force constants."""


def measuring_force_constants(
    crystal: Crystal, repeats: Repeats, displacement_angstrom: float
) -> Procedure[FloatArray]:
    """The second derivatives of the energy, (3m, 3m) in eV/Å², of the supercell of m atoms.

    Symmetric, and zero for a motion of all atoms together.
    """
    whole = supercell(crystal, repeats)
    rows: dict[int, FloatArray] = {}
    for site, source in _sources(crystal, repeats, whole).items():
        if source is None:
            rows[site] = yield from _measuring_row(whole, site, displacement_angstrom)
        else:
            rows[site] = source.carry(rows[source.site])
    first_cell = np.array([rows[site] for site in range(len(crystal))])  # (n, 3, m, 3)
    return _without_translations(_of_all_cells(first_cell, repeats))


@dataclass(frozen=True, eq=False)
class _Source:
    """The site whose force constants another one has, turned by a rotation."""

    site: int
    rotation: FloatArray  # (3, 3), Cartesian
    images: IntArray  # (m,), where each site of the supercell goes

    def carry(self, row: FloatArray) -> FloatArray:
        """The force constants (3, m, 3) of the site that `site` is carried onto."""
        carried = np.empty_like(row)
        carried[:, self.images] = np.einsum("ab,bjc,dc->ajd", self.rotation, row, self.rotation)
        return carried


def _sources(crystal: Crystal, repeats: Repeats, whole: Crystal) -> Mapping[int, _Source | None]:
    """For each site of the crystal, the one before it that stands for it; None: it is moved itself."""
    symmetry = SymmetryProjection.of(crystal, _SYMMETRY_TOLERANCE_ANGSTROM)
    columns = crystal.cell.T
    sources: dict[int, _Source | None] = {}
    for site in range(len(crystal)):
        if site in sources:
            continue
        sources[site] = None
        for rotation, image in zip(symmetry.rotations, symmetry.images[:, site].tolist(), strict=True):
            if image in sources:
                continue
            images = _images(whole, rotation * np.array(repeats) / np.array(repeats)[:, None], site, image)
            if images is not None:
                turned = columns @ rotation @ np.linalg.inv(columns)
                sources[image] = _Source(site, turned, images)
    return sources


def _images(whole: Crystal, rotation: FloatArray, site: int, image: int) -> IntArray | None:
    """Where a rotation about a site that lands on another puts each site; None where it is no symmetry.

    An operation of the crystal need not be one of its supercell, whose shape may be another.
    """
    if np.abs(rotation - np.round(rotation)).max() > 1e-6:
        return None
    coordinates = whole.frac_coords
    targets = (coordinates - coordinates[site]) @ rotation.T + coordinates[image]
    tree = cKDTree(_wrapped(coordinates), boxsize=1)
    images: IntArray = tree.query(_wrapped(targets))[1]
    misses = targets - coordinates[images]
    distances = np.linalg.norm((misses - np.round(misses)) @ whole.cell, axis=1)
    fits = (
        float(distances.max()) <= 3 * _SYMMETRY_TOLERANCE_ANGSTROM
        and len(np.unique(images)) == len(images)
        and bool((whole.numbers[images] == whole.numbers).all())
    )
    return images if fits else None


def _wrapped(frac_coords: FloatArray) -> FloatArray:
    """The images in the cell, in [0, 1)."""
    wrapped = frac_coords - np.floor(frac_coords)
    return np.where(wrapped < 1, wrapped, 0.0)  # what rounding makes of -1e-17


def _measuring_row(whole: Crystal, site: int, displacement: float) -> Procedure[FloatArray]:
    """Minus the change of all forces with the position of one atom, (3, m, 3)."""
    row = np.empty((3, len(whole), 3))
    for axis in range(3):
        move = np.zeros((len(whole), 3))
        move[site, axis] = displacement
        shift = move @ np.linalg.inv(whole.cell)
        forward = yield replace(whole, frac_coords=whole.frac_coords + shift)
        backward = yield replace(whole, frac_coords=whole.frac_coords - shift)
        row[axis] = (_forces(backward) - _forces(forward)) / (2 * displacement)
    return row


def _forces(evaluation: Evaluation) -> FloatArray:
    if evaluation.forces_ev_per_angstrom is None:
        raise ValueError("force constants need forces")
    return evaluation.forces_ev_per_angstrom


def _of_all_cells(first_cell: FloatArray, repeats: Repeats) -> FloatArray:
    """The force constants (m, 3, m, 3) of all cells, which are those of the first (n, 3, m, 3), shifted."""
    n_atoms, _, n_all, _ = first_cell.shape
    by_cell = first_cell.reshape(n_atoms, 3, *repeats, n_atoms, 3)
    cells = [np.roll(by_cell, cell, axis=(2, 3, 4)) for cell in np.ndindex(repeats)]
    return np.concatenate(cells).reshape(n_all, 3, n_all, 3)


def _without_translations(constants: FloatArray) -> FloatArray:
    """Force constants (m, 3, m, 3) as a symmetric matrix that no motion of all atoms together feels.

    That is the acoustic sum rule, imposed by the smallest change that does.
    """
    centred = constants - constants.mean(axis=0, keepdims=True)
    centred = centred - centred.mean(axis=2, keepdims=True)
    size = 3 * len(constants)
    matrix: FloatArray = centred.reshape(size, size)
    return (matrix + matrix.T) / 2
