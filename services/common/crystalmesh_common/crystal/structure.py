"""The crystal that the mesh computes with: arrays and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Crystal:
    """One ordered, fully periodic structure.

    The arrays are as they came: `protobuf` and `validity` check them, this class does not.
    """

    cell: FloatArray  # (3, 3), lattice vectors as rows, in Å
    numbers: IntArray  # (n,), atomic numbers
    frac_coords: FloatArray  # (n, 3), any image of each site
    id: str = ""
    magnetic_moments: FloatArray | None = None  # (n,), in Bohr magnetons
    scalars: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def cart_coords(self) -> FloatArray:
        """Cartesian coordinates in Å, (n, 3)."""
        return self.frac_coords @ self.cell

    @property
    def volume(self) -> float:
        """Volume of the cell in Å³, never negative."""
        return float(abs(np.linalg.det(self.cell)))


def cell_parameters(cell: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lengths a, b, c in Å and angles alpha, beta, gamma in degrees of a cell that spans a volume."""
    lengths = np.linalg.norm(cell, axis=1)
    unit = cell / lengths[:, None]
    # Through half the angle: arccos loses half the digits of an angle near 0 or 180 degrees.
    pairs = ((1, 2), (2, 0), (0, 1))
    halves = [
        np.arctan2(np.linalg.norm(unit[i] - unit[j]), np.linalg.norm(unit[i] + unit[j])) for i, j in pairs
    ]
    return lengths, np.degrees(2 * np.array(halves))


def cell_from_parameters(lengths_angstrom: Sequence[float], angles_degrees: Sequence[float]) -> FloatArray:
    """The cell (3, 3) of three lengths and three angles: a along x, b in the xy plane, c upwards.

    Raises `ValueError` where no such cell exists.
    """
    a, b, c = (float(length) for length in lengths_angstrom)
    if not (a > 0 and b > 0 and c > 0):
        raise ValueError(f"the cell lengths {a:g}, {b:g}, {c:g} are not all positive")
    if not all(0 < angle < 180 for angle in angles_degrees):
        raise ValueError("the cell angles are not all between 0 and 180 degrees")
    # Exactly 0 for a right angle, so that a rectangular cell is a diagonal matrix.
    cosines = [0.0 if angle == 90 else float(np.cos(np.radians(angle))) for angle in angles_degrees]
    cos_alpha, cos_beta, cos_gamma = cosines
    sin_gamma = np.sqrt(1 - cos_gamma**2)
    c_y = (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    c_z_squared = 1 - cos_beta**2 - c_y**2
    if not c_z_squared > 1e-12:  # what rounding leaves of angles that lie in a plane
        raise ValueError("the cell angles do not span a volume")
    return np.array(
        [[a, 0, 0], [b * cos_gamma, b * sin_gamma, 0], [c * cos_beta, c * c_y, c * np.sqrt(c_z_squared)]]
    )
