"""Names of polyhedra."""

from __future__ import annotations

import numpy as np
import pytest

from crystalmesh_common.crystal.description.shapes import icosahedron, shape_of


def _turned(vectors: list[list[float]]) -> np.ndarray:
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    return np.array(vectors, dtype=float)[::-1] @ turn


OCTAHEDRON = [[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
CUBE = [[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)]
CUBOCTAHEDRON = [list(np.roll([0.0, a, b], turn)) for turn in range(3) for a in (-1.0, 1) for b in (-1.0, 1)]


@pytest.mark.parametrize(
    ("vectors", "name"),
    [
        ([[0, 0, 1], [0, 0, -2]], "line"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], "trigonal pyramid"),
        ([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "tetrahedron"),
        (OCTAHEDRON[:4], "square"),
        (OCTAHEDRON[:5], "square pyramid"),
        (OCTAHEDRON, "octahedron"),
        ([*OCTAHEDRON[:5], [0, 0.5, -1]], "distorted octahedron"),
        (CUBE, "cube"),
        (CUBOCTAHEDRON, "cuboctahedron"),
        (icosahedron().tolist(), "icosahedron"),
        ([*CUBE, *OCTAHEDRON], "rhombic dodecahedron"),
    ],
)
def test_names(vectors: list[list[float]], name: str) -> None:
    """A shape is known however it is turned, in any order of its corners, and distances do not count."""
    assert shape_of(_turned(vectors)) == name


def test_no_name() -> None:
    """Neighbours all on one side make no shape, and neither do numbers of them without a known one."""
    assert shape_of(np.array([[1, 0, 0], [1, 0.1, 0], [1, 0, 0.1], [1, 0.1, 0.1]])) == ""
    assert shape_of(np.array([[1.0, 0, 0]])) == ""
    assert shape_of(np.random.default_rng(0).normal(size=(31, 3))) == ""
