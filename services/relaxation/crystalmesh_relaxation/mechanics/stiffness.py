"""Stiffness in Voigt notation (xx yy zz yz xz xy) and the moduli that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from crystalmesh_common.crystal.structure import FloatArray

_ROWS, _COLUMNS = (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)


def stress_vector(stress: FloatArray) -> FloatArray:
    """The six components of a symmetric stress (3, 3)."""
    symmetric: FloatArray = (stress + stress.T) / 2
    return symmetric[_ROWS, _COLUMNS]


def strain_matrix(strain: FloatArray) -> FloatArray:
    """The symmetric strain (3, 3) of six components, whose shears count twice (engineering strain)."""
    matrix = np.zeros((3, 3))
    matrix[_ROWS, _COLUMNS] = strain / np.array([1, 1, 1, 2, 2, 2])
    matrix[_COLUMNS, _ROWS] = matrix[_ROWS, _COLUMNS]
    return matrix


@dataclass(frozen=True)
class Moduli:
    """Averages of a stiffness over all directions, in GPa where they have a unit.

    The bounds of Voigt (equal strain) and Reuss (equal stress), and what follows from their means (Hill).
    Whatever takes a compliance is NaN for a crystal that is not stable.
    """

    bulk_voigt: float
    bulk_reuss: float
    shear_voigt: float
    shear_reuss: float

    @classmethod
    def of(cls, stiffness_gpa: FloatArray) -> Self:
        """The averages of a symmetric stiffness (6, 6)."""
        bulk_voigt = float(stiffness_gpa[:3, :3].sum() / 9)
        shear_voigt = float((_shear_part(stiffness_gpa) + 3 * np.trace(stiffness_gpa[3:, 3:])) / 15)
        if not is_stable(stiffness_gpa):
            return cls(bulk_voigt, math.nan, shear_voigt, math.nan)
        compliance = np.asarray(np.linalg.inv(stiffness_gpa), dtype=np.float64)
        return cls(
            bulk_voigt=bulk_voigt,
            bulk_reuss=float(1 / compliance[:3, :3].sum()),
            shear_voigt=shear_voigt,
            shear_reuss=float(15 / (4 * _shear_part(compliance) + 3 * np.trace(compliance[3:, 3:]))),
        )

    @property
    def bulk_hill(self) -> float:
        return (self.bulk_voigt + self.bulk_reuss) / 2

    @property
    def shear_hill(self) -> float:
        return (self.shear_voigt + self.shear_reuss) / 2

    @property
    def young(self) -> float:
        return 9 * self.bulk_hill * self.shear_hill / (3 * self.bulk_hill + self.shear_hill)

    @property
    def poisson_ratio(self) -> float:
        bulk, shear = self.bulk_hill, self.shear_hill
        return (3 * bulk - 2 * shear) / (2 * (3 * bulk + shear))

    @property
    def universal_anisotropy(self) -> float:
        return 5 * self.shear_voigt / self.shear_reuss + self.bulk_voigt / self.bulk_reuss - 6


def is_stable(stiffness_gpa: FloatArray) -> bool:
    """Whether every strain costs energy (the Born criterion)."""
    return bool(np.linalg.eigvalsh(stiffness_gpa)[0] > 0)


def _shear_part(tensor: FloatArray) -> float:
    """What normal strains share with shear: their own terms less those between them."""
    return float(np.trace(tensor[:3, :3]) - tensor[0, 1] - tensor[0, 2] - tensor[1, 2])
