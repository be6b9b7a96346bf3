"""Keeping the space group: forces and stress averaged over its operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from moyopy import Cell, MoyoDataset

from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class SymmetryProjection:
    """The operations of a crystal: x' = R x + t in fractional coordinates, and which site goes where."""

    rotations: FloatArray  # (m, 3, 3)
    images: IntArray  # (m, n), the site that each site is moved onto

    @classmethod
    def of(cls, crystal: Crystal, tolerance_angstrom: float) -> Self:
        """The symmetry that the crystal has within the tolerance; the identity alone where it has none."""
        dataset = MoyoDataset(
            Cell(crystal.cell.tolist(), crystal.frac_coords.tolist(), crystal.numbers.tolist()),
            symprec=tolerance_angstrom,
        )
        rotations = np.array(dataset.operations.rotations, dtype=np.float64)
        translations = np.array(dataset.operations.translations, dtype=np.float64)
        images = np.array(
            [_images(crystal, r, t) for r, t in zip(rotations, translations, strict=True)], dtype=np.int64
        )
        return cls(rotations, images)

    def forces(self, crystal: Crystal, forces: FloatArray) -> FloatArray:
        """The part of the forces (n, 3) that the symmetry leaves."""
        projected = np.zeros_like(forces)
        for rotation, images in zip(self._cartesian(crystal), self.images, strict=True):
            projected[images] += forces @ rotation.T
        return projected / len(self.rotations)

    def stress(self, crystal: Crystal, stress: FloatArray) -> FloatArray:
        """The part of the stress (3, 3) that the symmetry leaves."""
        turned = [rotation @ stress @ rotation.T for rotation in self._cartesian(crystal)]
        mean: FloatArray = np.mean(turned, axis=0)
        return mean

    def _cartesian(self, crystal: Crystal) -> FloatArray:
        """The rotations in Cartesian axes, (m, 3, 3), for the cell as it is."""
        columns = crystal.cell.T
        return columns @ self.rotations @ np.linalg.inv(columns)


def _images(crystal: Crystal, rotation: FloatArray, translation: FloatArray) -> IntArray:
    """For each site, the site of the same element nearest to where the operation puts it."""
    target = crystal.frac_coords @ rotation.T + translation
    offsets = target[:, None] - crystal.frac_coords[None]
    offsets -= np.round(offsets)
    distances = np.linalg.norm(offsets @ crystal.cell, axis=2)
    distances[crystal.numbers[:, None] != crystal.numbers[None]] = np.inf
    nearest: IntArray = distances.argmin(axis=1)
    return nearest
