"""How close atoms come, with every periodic image counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_common.runtime.errors import InvalidCrystalError

_NEXT, _AFTER_NEXT = [1, 2, 0], [2, 0, 1]
_FEW_ATOMS = 64
"""Up to here all pairs at once are faster than a search tree."""


@dataclass(frozen=True)
class ClosestPair:
    """Two sites, or one site and its own image, and how far apart they are."""

    first_site: int
    second_site: int
    distance_angstrom: float


def plane_spacings(cell: FloatArray) -> FloatArray:
    """Distances in Å between opposite faces of the cell, (3,); zeros for a cell without volume."""
    b, c = cell[_NEXT], cell[_AFTER_NEXT]
    # (3, 3), the normals of bc, ca, ab; np.cross takes four times as long.
    faces = b[:, _NEXT] * c[:, _AFTER_NEXT] - b[:, _AFTER_NEXT] * c[:, _NEXT]
    areas = np.sqrt((faces * faces).sum(axis=1))
    volume = abs(float(cell[0] @ faces[0]))
    spacings: FloatArray = np.divide(volume, areas, out=np.zeros(3), where=areas > 0)
    return spacings


def shortest_distance(crystal: Crystal) -> float:
    """The shortest distance in Å between two atoms, images included.

    Exact for any cell that spans a volume, however skewed; `InvalidCrystalError` for one that does not.
    """
    reduced = _reduced(crystal)
    # No arrangement of n equal spheres is denser than close packing, so no crystal's shortest distance is
    # larger than that packing's, nor larger than the shortest lattice vector.
    packed = float(np.cbrt(np.sqrt(2.0) * reduced.volume / len(reduced)))
    shortest_vector = float(np.linalg.norm(reduced.cell, axis=1).min())
    pair = closest_pair(reduced, within_angstrom=min(packed, shortest_vector) * (1 + 1e-6))
    if pair is None:  # cannot be, unless the numbers are beyond floating point
        raise InvalidCrystalError("the distances between atoms cannot be computed")
    return pair.distance_angstrom


def closest_pair(crystal: Crystal, *, within_angstrom: float) -> ClosestPair | None:
    """The two closest sites if they are within the given distance, else None.

    Time grows as n log n; memory with the number of images that lie within the distance of the cell, so
    ask for distances of the order of the cell or below.
    """
    home = crystal.frac_coords - np.floor(crystal.frac_coords)
    margins = within_angstrom / plane_spacings(crystal.cell)  # (3,), in fractions of the cell
    if len(home) <= _FEW_ATOMS and margins.max() < 0.5:
        return _closest_of_few(home, crystal.cell, within_angstrom)
    images, owners = _with_images(home, margins)
    if len(images) == len(home) == 1:
        return None
    from scipy.spatial import KDTree  # noqa: PLC0415 -- a light client never measures distances

    tree = KDTree(images @ crystal.cell)
    distances, neighbours = tree.query(home @ crystal.cell, k=2, distance_upper_bound=within_angstrom)
    # An atom finds itself at distance 0, in either column when another one lies exactly on it.
    itself = neighbours == np.arange(len(home))[:, None]
    distances = np.where(itself, np.inf, distances)
    first, column = np.unravel_index(int(np.argmin(distances)), distances.shape)
    if not np.isfinite(distances[first, column]):
        return None
    second = int(owners[neighbours[first, column]])
    pair = sorted((int(first), second))
    return ClosestPair(pair[0], pair[1], float(distances[first, column]))


def _closest_of_few(home: FloatArray, cell: FloatArray, within_angstrom: float) -> ClosestPair | None:
    """The closest pair where the distance is below half of every plane spacing.

    Then only the image at the smallest fractional offset can be near, and no site is near its own image.
    """
    offsets = home[:, None] - home[None]
    offsets = (offsets - np.rint(offsets)) @ cell
    squares = (offsets * offsets).sum(axis=2)  # (n, n)
    np.fill_diagonal(squares, np.inf)
    first, second = divmod(int(squares.argmin()), len(home))
    distance = float(np.sqrt(squares[first, second]))
    return ClosestPair(first, second, distance) if distance <= within_angstrom else None


def _with_images(home: FloatArray, margins: FloatArray) -> tuple[FloatArray, IntArray]:
    """The sites of the home cell, followed by every image within the margins around it."""
    sites, owners = home, np.arange(len(home))
    for axis, margin in enumerate(margins):
        reach = int(np.ceil(margin))
        copies, copied = [sites], [owners]
        for shift in [s for s in range(-reach, reach + 1) if s]:
            shifted = sites[:, axis] + shift
            near = (shifted >= -margin) & (shifted <= 1 + margin)
            image = sites[near].copy()
            image[:, axis] = shifted[near]
            copies.append(image)
            copied.append(owners[near])
        sites, owners = np.concatenate(copies), np.concatenate(copied)
    return sites, owners


def _reduced(crystal: Crystal) -> Crystal:
    """The same crystal on a Minkowski-reduced cell, where few images are near."""
    from moyopy import minkowski_reduce  # noqa: PLC0415 -- a light client never measures distances

    try:
        cell, transformation = minkowski_reduce(crystal.cell.tolist())
        # cart = f @ cell = f' @ reduced and reduced = transformation.T @ cell
        frac_coords = crystal.frac_coords @ np.linalg.inv(np.transpose(transformation))
    except ValueError as error:
        raise InvalidCrystalError("the cell spans no volume", field="cell_angstrom") from error
    return Crystal(cell=np.array(cell), numbers=crystal.numbers, frac_coords=frac_coords)
