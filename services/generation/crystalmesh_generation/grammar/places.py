"""Where in a cell there is a place for another atom, on the grid of coordinates of two decimals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_generation.grammar.vocabulary import BoolArray

_GRID = 100
_POINTS = _GRID**3
_ROUNDING = 1e-9  # of squared distances, Å²


class FreePlaces:
    """The points of a cell that are no closer than a distance to any atom in it, images counted.

    The cell's lattice planes must be that far apart at least.
    """

    def __init__(self, cell: FloatArray, distance_angstrom: float) -> None:
        self._near = _points_near(cell, distance_angstrom)  # (points, 3), 0 to 99
        lines = np.unique(self._near[:, 0] * _GRID + self._near[:, 1])
        self._lines = np.stack([lines // _GRID, lines % _GRID], axis=1)  # x and y of those points
        self._taken = np.zeros((_GRID, _GRID, _GRID), dtype=bool)
        self._line_free = np.ones((_GRID, _GRID), dtype=bool)
        self._free = _POINTS

    @property
    def room(self) -> int:
        """How many more atoms find a place wherever each of them goes."""
        return -(-self._free // len(self._near))

    def x(self) -> BoolArray:
        """The first coordinates, in hundredths, at which a place is free."""
        return np.asarray(self._line_free.any(axis=1))

    def y(self, x: int) -> BoolArray:
        free: BoolArray = self._line_free[x]
        return free

    def z(self, x: int, y: int) -> BoolArray:
        free: BoolArray = ~self._taken[x, y]
        return free

    def take(self, x: int, y: int, z: int) -> None:
        """Put an atom there."""
        px, py, pz = ((self._near + np.array([x, y, z])) % _GRID).T
        points = (px * _GRID + py) * _GRID + pz
        taken = self._taken.reshape(-1)
        self._free -= len(points) - int(np.count_nonzero(taken[points]))
        taken[points] = True
        lx, ly = ((self._lines + np.array([x, y])) % _GRID).T
        self._line_free[lx, ly] = ~self._taken[lx, ly].all(axis=1)


def _points_near(cell: FloatArray, distance: float) -> npt.NDArray[np.intp]:
    """The points of the grid closer than that to the origin or an image of it, the origin among them."""
    mesh = cell / _GRID
    heights = 1 / np.linalg.norm(np.linalg.inv(mesh), axis=0)  # between planes of the mesh
    reach = np.minimum(np.ceil(distance / heights), _GRID)
    x, y = (each.ravel() for each in np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1])
    metric = mesh @ mesh.T
    # The squared distance of a point is quadratic in z, and small enough between the two roots.
    linear = (metric[0, 2] * x + metric[1, 2] * y) / metric[2, 2]
    rest = metric[0, 0] * x * x + metric[1, 1] * y * y + 2 * metric[0, 1] * x * y
    squared = linear**2 - (rest - max(distance**2 - _ROUNDING, _ROUNDING)) / metric[2, 2]
    near = squared > 0
    x, y, linear, half = x[near], y[near], linear[near], np.sqrt(squared[near])
    first = np.ceil(-linear - half).astype(np.intp)
    count = np.maximum(np.floor(half - linear).astype(np.intp) - first + 1, 0)  # of z for each x and y
    z = np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)
    lines = x.astype(np.intp) % _GRID * _GRID + y.astype(np.intp) % _GRID
    points = np.repeat(lines * _GRID, count) + z % _GRID
    points = points if reach.max() * 2 < _GRID else np.unique(points)
    return np.stack([points // _GRID**2, points // _GRID % _GRID, points % _GRID], axis=1)
