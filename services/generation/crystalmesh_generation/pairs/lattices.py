"""How one lattice can be laid over another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from moyopy import Cell, MoyoDataset, minkowski_reduce
from numpy.typing import NDArray

from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_common.runtime.errors import InvalidCrystalError

LENGTH_FRACTION = 0.2
ANGLE_DEGREES = 5.0
"""How far vectors of lattices may differ that are laid over each other, after scaling to one volume."""

_SYMPREC_ANGSTROM = 0.01
_STEPS = np.array(list(product(range(-2, 3), repeat=3)), dtype=np.int64)
_CODES = 51 ** np.arange(9, dtype=np.int64)[::-1].reshape(3, 3)
"""A number of its own for each small integer matrix."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """A Minkowski-reduced lattice of volume 1, with what laying it over others needs."""

    reduction: FloatArray  # (3, 3) integers: reduced cell = reduction @ cell
    basis: FloatArray  # (3, 3), rows
    lengths: FloatArray  # (3,)
    angles: FloatArray  # (3, 3), between each two of the basis, degrees
    metric: FloatArray  # (3, 3)
    inverse_root: FloatArray  # (3, 3), maps the metric to the identity
    points: FloatArray  # (125, 3), lattice points around the origin
    point_lengths: FloatArray  # (125,)
    rotations: IntArray  # (m, 3, 3): replacing the basis by rotation @ basis leaves the crystal as it is

    @classmethod
    def of(cls, crystal: Crystal) -> Lattice:
        """Raises `InvalidCrystalError` for a cell that spans no volume."""
        try:
            _, transformation = minkowski_reduce(crystal.cell.tolist())
        except ValueError as error:
            raise InvalidCrystalError("the cell spans no volume", field="cell_angstrom") from error
        reduction = np.rint(np.transpose(transformation)).astype(np.float64)
        basis = reduction @ crystal.cell / np.cbrt(crystal.volume)
        metric = basis @ basis.T
        points = _STEPS @ basis
        return cls(
            reduction=reduction,
            basis=basis,
            lengths=np.sqrt(np.diagonal(metric)),
            angles=_angles(metric, np.sqrt(np.diagonal(metric)), np.sqrt(np.diagonal(metric))),
            metric=metric,
            inverse_root=np.linalg.inv(np.linalg.cholesky(metric)),
            points=points,
            point_lengths=np.linalg.norm(points, axis=1),
            rotations=_rotations(crystal, reduction),
        )


def lattice_maps(target: Lattice, reference: Lattice) -> tuple[IntArray, FloatArray]:
    """Unimodular matrices (k, 3, 3), each times the target's basis like the reference's, and strains (k,).

    By ascending strain, which is the root mean square of the logarithms of the principal stretches. Of
    matrices that differ by a rotation of the target's crystal there is one.
    """
    near = np.abs(np.log(np.maximum(target.point_lengths, 1e-9)[None] / reference.lengths[:, None]))
    chosen = [np.flatnonzero(row <= np.log(1 + LENGTH_FRACTION)) for row in near]
    maps = _bases(target, reference, chosen)
    if not len(maps):
        return maps, np.zeros(0)
    maps = _one_of_each(maps, target.rotations)
    metrics = maps @ target.metric @ maps.transpose(0, 2, 1)
    stretched = reference.inverse_root @ metrics @ reference.inverse_root.T
    strains = np.sqrt(np.mean((0.5 * np.log(np.linalg.eigvalsh(stretched))) ** 2, axis=1))
    order = np.argsort(np.round(strains, 9), kind="stable")
    return maps[order], strains[order]


def _bases(target: Lattice, reference: Lattice, chosen: Sequence[IntArray]) -> IntArray:
    """Every choice of one lattice vector for each axis that spans the lattice at like angles."""

    def alike(first: int, second: int) -> NDArray[np.bool_]:
        one, other = chosen[first], chosen[second]
        dots = target.points[one] @ target.points[other].T
        angles = _angles(dots, target.point_lengths[one], target.point_lengths[other])
        found: NDArray[np.bool_] = np.abs(angles - reference.angles[first, second]) <= ANGLE_DEGREES
        return found

    together = alike(0, 1)[:, :, None] & alike(1, 2)[None] & alike(0, 2)[:, None]
    a, b, c = np.nonzero(together)
    maps: IntArray = np.stack([_STEPS[chosen[0][a]], _STEPS[chosen[1][b]], _STEPS[chosen[2][c]]], axis=1)
    volumes = (np.cross(maps[:, 0], maps[:, 1]) * maps[:, 2]).sum(axis=1)
    unimodular: IntArray = maps[np.abs(volumes) == 1]
    return unimodular


def _one_of_each(maps: IntArray, rotations: IntArray) -> IntArray:
    """One of the matrices that a rotation of the target turns into each other, a proper one if there is."""
    if len(maps) == 1:
        return maps
    turned = maps[:, None] @ rotations[None]  # (k, m, 3, 3)
    classes = (turned * _CODES).sum(axis=(2, 3)).min(axis=1)
    improper = (np.cross(maps[:, 0], maps[:, 1]) * maps[:, 2]).sum(axis=1) < 0
    size = np.abs(maps).sum(axis=(1, 2))
    order = np.lexsort((np.arange(len(maps)), size, improper))
    _, first = np.unique(classes[order], return_index=True)
    return maps[order[np.sort(first)]]


def _rotations(crystal: Crystal, reduction: FloatArray) -> IntArray:
    """How the reduced basis may be replaced without a change to the crystal but a shift of origin."""
    cell = Cell(crystal.cell.tolist(), crystal.frac_coords.tolist(), crystal.numbers.tolist())
    lengths = np.linalg.norm(reduction @ crystal.cell, axis=1)
    # As `crystal.symmetry` does: on needles and sheets moyopy would search without end.
    symprec = min(_SYMPREC_ANGSTROM, lengths.min() / 20, 0.5 * lengths.min() ** 2 / lengths.max())
    try:
        found = np.array(MoyoDataset(cell, symprec=symprec).operations.rotations, dtype=np.float64)
    except ValueError:
        return np.eye(3, dtype=np.int64)[None]
    # A rotation acts on columns of fractional coordinates, so its transpose acts on the basis as rows.
    turned = reduction @ found.transpose(0, 2, 1) @ np.linalg.inv(reduction)
    return np.unique(np.rint(turned).astype(np.int64), axis=0)


def _angles(dots: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    cosines = dots / np.maximum(first[:, None] * second[None], 1e-12)
    degrees: FloatArray = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return degrees
