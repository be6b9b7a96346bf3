"""What a picture of a crystal shows, in space: atoms, those on faces repeated, bonds, the cell, a view."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from crystalmesh_client.plots.element_looks import (
    covalent_radius_angstrom,
    drawn_radius_angstrom,
    is_large_cation,
    is_nonmetal,
)
from crystalmesh_common.crystal.structure import FloatArray, IntArray

_MOST_ATOMS_WITH_BONDS = 400
_MOST_ATOMS_REPEATED = 64
_SHORT_AXIS_ANGSTROM = 2.7
"""A cell shorter than this is repeated, or its few atoms show nothing."""
_SLENDER = 2.4
"""So is one whose longest axis is this many times as long as another."""

_ON_FACE_ANGSTROM = 0.3
_ON_FACE_FRACTION = 0.04
_BOND_REACH = 1.25  # of the sum of covalent radii
_COVALENT_REACH = 1.15  # the same between nonmetals
_FIRST_SHELL = 1.3  # of the distance from a metal to its nearest partner
_CLOSE_PACKED_SHELL = 1.12  # the same in metals, whose second shell is near

_AZIMUTHS_DEGREES = (18, 22, 26, 30, 34, 40)
_AZIMUTHS_FROM_B_DEGREES = (-50, -56, -60, -64, -68, -72)
"""Where a is much longer than b, it lies across and b points away."""
_MUCH_LONGER = 1.25
_ELEVATIONS_DEGREES = (9, 12, 15, 18, 22)


@dataclass(frozen=True, eq=False)
class Scene:
    """Points in Å in the frame of the viewer: x to the right, y up, z towards the viewer."""

    numbers: IntArray  # (n,), of the drawn atoms
    positions: FloatArray  # (n, 3)
    radii: FloatArray  # (n,), of their balls
    bonds: IntArray  # (m, 2), pairs of atoms
    edges: FloatArray  # (k, 2, 3), the ends of the cell's edges
    axes: FloatArray  # (3, 3), unit vectors along a, b, c
    repeats: tuple[int, int, int]  # how many cells are drawn along a, b, c


def scene_of(cell: FloatArray, numbers: IntArray, frac_coords: FloatArray) -> Scene:
    """The scene of a crystal whose cell spans a volume, seen from where its atoms hide each other least."""
    repeats = _repeats(cell, len(numbers))
    home = np.mod(frac_coords, 1.0)
    home[home > 1 - 1e-9] = 0.0
    frac, shown = _block(home, cell, repeats)
    kinds = numbers[shown]
    bonds = _bonds(cell, numbers, home, frac, shown)
    radii = np.array([drawn_radius_angstrom(int(number)) for number in kinds])
    middle = np.array(repeats) / 2 @ cell
    rotation = _best_view(cell * np.array(repeats)[:, None], frac @ cell - middle, radii)
    return Scene(
        numbers=kinds,
        positions=(frac @ cell - middle) @ rotation.T,
        radii=radii,
        bonds=bonds,
        edges=(_edges(repeats) @ cell - middle) @ rotation.T,
        axes=(cell / np.linalg.norm(cell, axis=1)[:, None]) @ rotation.T,
        repeats=repeats,
    )


def _repeats(cell: FloatArray, atoms: int) -> tuple[int, int, int]:
    lengths = np.linalg.norm(cell, axis=1)
    wanted = np.maximum(
        np.ceil(_SHORT_AXIS_ANGSTROM / lengths), np.round(lengths.max() / (_SLENDER * lengths))
    )
    counts = np.clip(wanted, 1, 3).astype(int)
    while atoms * counts.prod() > _MOST_ATOMS_REPEATED and counts.max() > 1:
        counts[counts.argmax()] -= 1
    a, b, c = (int(count) for count in counts)
    return a, b, c


def _block(home: FloatArray, cell: FloatArray, repeats: tuple[int, int, int]) -> tuple[FloatArray, IntArray]:
    """All drawn atoms, those near a face on the opposite one too: fractional coordinates, and sites."""
    near = np.minimum(_ON_FACE_ANGSTROM / np.linalg.norm(cell, axis=1), _ON_FACE_FRACTION)
    frac: list[FloatArray] = []
    sites: list[int] = []
    for site, coords in enumerate(home):
        choices = []
        for axis, count in enumerate(repeats):
            shifts = np.arange(-1, count + 1) + coords[axis]
            choices.append(shifts[(shifts >= -near[axis]) & (shifts <= count + near[axis])])
        for place in product(*choices):
            frac.append(np.array(place))
            sites.append(site)
    return np.array(frac), np.array(sites, dtype=np.int64)


def _bonds(
    cell: FloatArray, numbers: IntArray, home: FloatArray, frac: FloatArray, shown: IntArray
) -> IntArray:
    """Pairs of drawn atoms that a chemist would join."""
    if len(frac) > _MOST_ATOMS_WITH_BONDS:
        return np.empty((0, 2), dtype=np.int64)
    reach, shell = _reaches(numbers)
    nearest = _nearest_partner(cell, home, reach)
    # Nonmetals do not say where a shell ends: the oxygen of a phosphate is near phosphorus, and joins iron.
    nearest[[is_nonmetal(int(number)) for number in numbers]] = np.inf
    positions = frac @ cell
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    shells = shell * np.minimum(nearest[shown][:, None], nearest[shown][None])
    limit = np.minimum(reach[np.ix_(shown, shown)], shells)
    joined = np.triu((distances <= limit) & (distances > 0.1), 1)
    large = np.array([is_large_cation(int(numbers[site])) for site in shown])
    among_others = joined & ~large[:, None] & ~large[None]
    return np.argwhere(among_others if among_others.any() else joined)


def _reaches(numbers: IntArray) -> tuple[FloatArray, float]:
    """How far each pair of sites may be joined (n, n), and how far the first shell goes."""
    radii = np.array([covalent_radius_angstrom(int(number)) for number in numbers])
    sums = radii[:, None] + radii[None]
    nonmetal = np.array([is_nonmetal(int(number)) for number in numbers])
    if not nonmetal.any():
        return _BOND_REACH * sums, _CLOSE_PACKED_SHELL
    reach = np.where(nonmetal[:, None] & nonmetal[None], _COVALENT_REACH, _BOND_REACH) * sums
    reach[~nonmetal[:, None] & ~nonmetal[None]] = 0.0
    return reach, _FIRST_SHELL


def _nearest_partner(cell: FloatArray, home: FloatArray, reach: FloatArray) -> FloatArray:
    """The distance of each site to the nearest one that it may be joined to, images included."""
    nearest = np.full(len(home), np.inf)
    for shift in product((-1, 0, 1), repeat=3):
        offsets = (home[None] + np.array(shift) - home[:, None]) @ cell
        distances = np.linalg.norm(offsets, axis=2)
        distances[(distances > reach) | (distances < 0.1)] = np.inf
        nearest = np.minimum(nearest, distances.min(axis=1))
    return nearest


def _edges(repeats: tuple[int, int, int]) -> FloatArray:
    """The edges of every drawn cell, in fractional coordinates."""
    edges: list[list[list[float]]] = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        for corner in product(*(range(repeats[other] + 1) for other in others)):
            for step in range(repeats[axis]):
                start = [0.0, 0.0, 0.0]
                for other, value in zip(others, corner, strict=True):
                    start[other] = float(value)
                start[axis] = float(step)
                end = list(start)
                end[axis] += 1.0
                edges.append([start, end])
    return np.array(edges)


def _best_view(cell: FloatArray, positions: FloatArray, radii: FloatArray) -> FloatArray:
    """The rotation (3, 3) to the viewer's frame under which atoms cover each other least."""
    a, b, _ = np.linalg.norm(cell, axis=1)
    azimuths = _AZIMUTHS_FROM_B_DEGREES if a > _MUCH_LONGER * b else _AZIMUTHS_DEGREES
    best: tuple[float, FloatArray] | None = None
    for azimuth, elevation in product(azimuths, _ELEVATIONS_DEGREES):
        rotation = _view(cell, np.radians(azimuth), np.radians(elevation))
        covered = _covered(positions @ rotation.T, radii)
        if best is None or covered < best[0] - 1e-9:
            best = covered, rotation
        if len(positions) > _MOST_ATOMS_WITH_BONDS:
            break
    if best is None:
        raise ValueError("there is no view")
    return best[1]


def _view(cell: FloatArray, azimuth: float, elevation: float) -> FloatArray:
    """The usual one: c upwards, a towards the viewer, turned a little."""
    up = cell[2] / np.linalg.norm(cell[2])
    front = cell[0] - (cell[0] @ up) * up
    front /= np.linalg.norm(front)
    side = np.cross(up, front)
    towards = np.cos(elevation) * (np.cos(azimuth) * front + np.sin(azimuth) * side) + np.sin(elevation) * up
    right = -np.sin(azimuth) * front + np.cos(azimuth) * side
    return np.array([right, np.cross(towards, right), towards])


def _covered(positions: FloatArray, radii: FloatArray) -> float:
    """How much atoms hide each other, about as an area."""
    flat = positions[:, :2]
    gaps = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    overlaps: NDArray[np.float64] = np.clip(radii[:, None] + radii[None] - gaps, 0, None)
    np.fill_diagonal(overlaps, 0)
    return float((overlaps**2).sum())
