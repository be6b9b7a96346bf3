"""Which lengths and angles may come next, so that a cell closes and enough atoms fit into it.

A cell is roomy enough where its lattice planes are as far apart as atoms must be, and `least_atoms` find a
place wherever each of them goes: each takes at most a sphere's share of the grid of coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from crystalmesh_generation.grammar.vocabulary import MIN_LENGTH_ANGSTROM, BoolArray
from crystalmesh_generation.language.alx import MAX_ANGLE_DEGREES, MIN_ANGLE_DEGREES

_FloatArray = npt.NDArray[np.float64]
_Places = npt.NDArray[np.intp] | np.intp  # of angles among the angles

_LENGTHS = np.arange(600) / 10.0
_DEGREES = np.arange(MIN_ANGLE_DEGREES, MAX_ANGLE_DEGREES + 1)
_COSINES = np.where(_DEGREES == 90, 0.0, np.cos(np.radians(_DEGREES)))
_SINES = np.sin(np.radians(_DEGREES))
_WITNESSES = _LENGTHS[9:][::10]  # 0.9, 1.9, … 59.9: with one of them further lengths are shown to exist
_ALL = np.arange(len(_DEGREES))
_RIGHT = np.intp(90 - MIN_ANGLE_DEGREES)
_FLAT = 1e-9  # between what rounding leaves of angles in a plane, 1e-16, and of the flattest cells, 1e-5


@lru_cache(maxsize=256)
def third_angles(alpha: int, beta: int) -> BoolArray:
    """The angles with which a cell closes, by their place among the angles."""
    squared = _factors_squared(np.intp(alpha - MIN_ANGLE_DEGREES), np.intp(beta - MIN_ANGLE_DEGREES), _ALL)
    closes: BoolArray = squared > _FLAT * _SINES**2
    return closes


class RoomyCells:
    """Cells in which `least_atoms` atoms fit wherever each goes, no two closer than a distance."""

    def __init__(self, distance_angstrom: float, least_atoms: int) -> None:
        self._distance = distance_angstrom
        self._sphere = (least_atoms - 1) * 4 / 3 * np.pi

    def lengths(self, before: Sequence[float]) -> BoolArray:
        """The lengths that may follow; none at all where no cell is large enough."""
        later = [_WITNESSES[None, :]] * (2 - len(before))
        a, b, c = np.broadcast_arrays(*before, _LENGTHS[:, None], *later)
        fits = self._large(a * b * c, a + b + c) & (np.minimum(np.minimum(a, b), c) >= self._shortest)
        return np.asarray(fits.any(axis=1))

    def angles(self, lengths: Sequence[float], before: Sequence[int]) -> BoolArray:
        """The angles that may follow, by their place among the angles."""
        if not before:  # no cell with an angle is larger, or has planes farther apart, than with right ones
            return self._roomy(lengths, _ALL, _RIGHT, _RIGHT)
        alpha = np.intp(before[0] - MIN_ANGLE_DEGREES)
        if len(before) == 1:
            return np.asarray(self._roomy(lengths, alpha, _ALL[:, None], _ALL[None, :]).any(axis=1))
        return self._roomy(lengths, alpha, np.intp(before[1] - MIN_ANGLE_DEGREES), _ALL)

    @property
    def _shortest(self) -> float:
        return max(MIN_LENGTH_ANGSTROM, self._distance)

    def _large(self, volume: _FloatArray, lengths: _FloatArray | np.float64) -> BoolArray:
        """Whether spheres around all atoms but one leave a place on the grid free.

        Each point of the grid has a share of the volume, all of it within half of its mesh's diagonal.
        """
        reach = self._distance + lengths / 200
        return np.asarray(volume > self._sphere * reach**3 + _FLAT)

    def _roomy(self, lengths: Sequence[float], alpha: _Places, beta: _Places, gamma: _Places) -> BoolArray:
        """Which cells are roomy, for angles by their places."""
        a, b, c = lengths
        squared = _factors_squared(alpha, beta, gamma)
        factor = np.sqrt(np.maximum(squared, 0.0))
        least = self._distance - _FLAT
        apart = a * factor >= least * _SINES[alpha]
        apart = apart & (b * factor >= least * _SINES[beta]) & (c * factor >= least * _SINES[gamma])
        large = self._large(a * b * c * factor, np.float64(a + b + c))
        roomy: BoolArray = apart & large & (squared > _FLAT * _SINES[gamma] ** 2)
        return roomy


def _factors_squared(alpha: _Places, beta: _Places, gamma: _Places) -> _FloatArray:
    """The squared volume of a cell with edges of length 1, for angles by their places."""
    first, second, third = _COSINES[alpha], _COSINES[beta], _COSINES[gamma]
    squared: _FloatArray = 1 - first**2 - second**2 - third**2 + 2 * first * second * third
    return squared
