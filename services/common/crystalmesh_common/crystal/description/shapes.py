"""The shape of a coordination polyhedron by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from crystalmesh_common.crystal.structure import FloatArray

_REGULAR = 0.10
_DISTORTED = 0.25
"""Root mean square differences of cosines: the angles of a shape are off by about 6 and 15 degrees."""


def shape_of(vectors: FloatArray) -> str:
    """The shape that neighbours in these directions, (n, 3), make: "octahedron", "distorted tetrahedron".

    Their distances do not count. "" where they make none that has a name here.
    """
    directions = vectors / np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    known = _shapes().get(len(directions))
    if known is None:
        return ""
    names, ideal = known  # ideal: (shapes, pairs)
    differences = np.sqrt(((ideal - _cosines(directions)) ** 2).mean(axis=1))
    nearest = int(np.argmin(differences))
    if differences[nearest] > _DISTORTED:
        return ""
    return names[nearest] if differences[nearest] <= _REGULAR else f"distorted {names[nearest]}"


def shape_names() -> tuple[str, ...]:
    """All names that `shape_of` gives, without "distorted"."""
    return tuple(_corners())


def _cosines(directions: FloatArray) -> FloatArray:
    """The cosines between all pairs of unit vectors, sorted, so that no order of the vectors is left."""
    rows, columns = np.triu_indices(len(directions), 1)
    return np.sort((directions @ directions.T)[rows, columns])


@lru_cache(maxsize=1)
def _shapes() -> Mapping[int, tuple[list[str], FloatArray]]:
    """Names and sorted cosines of the shapes with each number of corners."""
    shapes: dict[int, tuple[list[str], list[FloatArray]]] = {}
    for name, corners in _corners().items():
        directions = corners / np.linalg.norm(corners, axis=1, keepdims=True)
        names, cosines = shapes.setdefault(len(directions), ([], []))
        names.append(name)
        cosines.append(_cosines(directions))
    return {count: (names, np.array(cosines)) for count, (names, cosines) in shapes.items()}


def _corners() -> dict[str, FloatArray]:
    """Directions of the corners of each shape, of any length.

    Heights of prisms and antiprisms are those with edges of one length, caps sit over the faces' middles.
    """
    triangle, square, hexagon = _ring(3), _ring(4), _ring(6)
    above_hexagon = _ring(3, height=2**0.5, turn=30)
    prism = np.concatenate([_ring(3, height=np.sqrt(3) / 2), _ring(3, height=-np.sqrt(3) / 2)])
    prism_caps = -_ring(3)
    octahedron = np.concatenate([square, _POLES])
    antiprism = np.concatenate([_ring(4, height=2**-0.75), _ring(4, height=-(2**-0.75), turn=45)])
    cube = np.concatenate([_ring(4, height=2**-0.5), _ring(4, height=-(2**-0.5))])
    return {
        "line": _POLES,
        "right angle": square[:2],
        "bent line": triangle[:2],
        "triangle": triangle,
        "trigonal pyramid": octahedron[[0, 1, 4]],
        "T shape": square[:3],
        "tetrahedron": cube[[0, 2, 5, 7]],
        "square": square,
        "seesaw": np.concatenate([_POLES, triangle[:2]]),
        "trigonal bipyramid": np.concatenate([triangle, _POLES]),
        "square pyramid": np.concatenate([square, _POLES[:1]]),
        "octahedron": octahedron,
        "trigonal prism": prism,
        "hexagon": hexagon,
        "pentagonal pyramid": np.concatenate([_ring(5), _POLES[:1]]),
        "pentagonal bipyramid": np.concatenate([_ring(5), _POLES]),
        "capped octahedron": np.concatenate([octahedron, [[1, 1, 1]]]),
        "capped trigonal prism": np.concatenate([prism, prism_caps[:1]]),
        "cube": cube,
        "square antiprism": antiprism,
        "hexagonal bipyramid": np.concatenate([hexagon, _POLES]),
        "bicapped trigonal prism": np.concatenate([prism, prism_caps[:2]]),
        "tricapped trigonal prism": np.concatenate([prism, prism_caps]),
        "capped square antiprism": np.concatenate([antiprism, _POLES[:1]]),
        "bicapped square antiprism": np.concatenate([antiprism, _POLES]),
        "cuboctahedron": np.concatenate([hexagon, above_hexagon, -above_hexagon]),
        "anticuboctahedron": np.concatenate([hexagon, above_hexagon, above_hexagon * [1, 1, -1]]),
        "icosahedron": icosahedron(),
        "hexagonal prism": np.concatenate([_ring(6, height=0.5), _ring(6, height=-0.5)]),
        "rhombic dodecahedron": np.concatenate([cube, _ring(4, turn=45), _POLES]),
    }


def icosahedron() -> FloatArray:
    """The corners of an icosahedron around the origin, (12, 3), at distance 1."""
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array([(0, s, t * golden) for s in (-1, 1) for t in (-1, 1)])
    turned = np.concatenate([np.roll(corners, turn, axis=1) for turn in range(3)])
    unit: FloatArray = turned / np.sqrt(1 + golden**2)
    return unit


_POLES = np.array([[0.0, 0, 1], [0, 0, -1]])


def _ring(corners: int, *, height: float = 0.0, turn: float = 0.0) -> FloatArray:
    """A regular polygon around the z axis, of radius 1."""
    angles = np.radians(turn) + 2 * np.pi * np.arange(corners) / corners
    return np.column_stack([np.cos(angles), np.sin(angles), np.full(corners, height)])
