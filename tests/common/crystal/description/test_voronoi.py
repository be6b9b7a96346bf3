"""Voronoi cells."""

from __future__ import annotations

import numpy as np
import pytest

from crystalmesh_common.crystal.description.voronoi import voronoi_faces
from crystalmesh_common.crystal.structure import Crystal
from tests.common.crystal.description.known_structures import known_structures, triclinic
from tests.conftest import iron, sodium_chloride


@pytest.mark.parametrize(
    "crystal",
    [known for known in known_structures() if len(known) > 1],
    ids=lambda crystal: crystal.id or None,
)
def test_cells_close(crystal: Crystal) -> None:
    """The faces of a cell bounded by atoms cover all directions, and the cells fill the crystal."""
    volume = 0.0
    for faces in voronoi_faces(crystal):
        assert faces.solid_angles.sum() == pytest.approx(4 * np.pi)
        volume += float((faces.areas * np.linalg.norm(faces.vectors, axis=1)).sum()) / 6
    assert volume == pytest.approx(crystal.volume)


def test_body_centred() -> None:
    """In body-centred iron an atom has 8 hexagons and 6 squares around it."""
    for faces in voronoi_faces(iron()):
        lengths = np.linalg.norm(faces.vectors, axis=1)
        squares = np.isclose(lengths, 2.84)
        assert (len(faces.areas), squares.sum()) == (14, 6)
        np.testing.assert_allclose(faces.areas[squares], 2.84**2 / 8)


def test_faces_without_extent() -> None:
    """Neighbours that a cell touches in a corner or an edge only are none: an ion of rock salt has 6."""
    assert [len(faces.areas) for faces in voronoi_faces(sodium_chloride())] == [6, 6]


def test_vectors() -> None:
    """A vector leads from the atom to the image of the neighbour that is named."""
    crystal = triclinic()
    for site, faces in enumerate(voronoi_faces(crystal)):
        ends = (crystal.frac_coords[faces.neighbours] + faces.images) @ crystal.cell
        np.testing.assert_allclose(faces.vectors, ends - crystal.cart_coords[site], atol=1e-12)


def test_open_space() -> None:
    """Beyond 10 Å a cell ends by itself: a lone atom faces none, and one of a sheet those beside it."""
    alone = Crystal(30 * np.eye(3), np.array([18]), np.zeros((1, 3)))
    assert [len(faces.areas) for faces in voronoi_faces(alone)] == [0]
    sheet = Crystal(np.diag([2.9, 2.9, 500.0]), np.array([29]), np.zeros((1, 3)))
    (faces,) = voronoi_faces(sheet)
    assert len(faces.areas) == 4
