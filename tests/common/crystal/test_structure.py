"""The crystal as arrays, and cells from lengths and angles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from crystalmesh_common.crystal.structure import Crystal, cell_from_parameters, cell_parameters
from tests.common.crystal.strategies import crystals
from tests.conftest import iron


def test_facts() -> None:
    """Length, volume and Cartesian coordinates follow from the arrays."""
    assert len(iron()) == 2
    assert iron().volume == pytest.approx(2.84**3)
    np.testing.assert_allclose(iron().cart_coords[1], [1.42, 1.42, 1.42])


@given(crystal=crystals())
def test_parameters_round_trip(crystal: Crystal) -> None:
    """A cell made from the lengths and angles of another has the same lengths, angles and volume."""
    lengths, angles = cell_parameters(crystal.cell)
    cell = cell_from_parameters(lengths.tolist(), angles.tolist())
    np.testing.assert_allclose(cell @ cell.T, crystal.cell @ crystal.cell.T, atol=1e-9)
    assert np.linalg.det(cell) > 0


def test_right_angles_are_exact() -> None:
    """A rectangular cell is a diagonal matrix, without 1e-16 beside it."""
    assert cell_from_parameters([3, 4, 5], [90, 90, 90]).tolist() == np.diag([3.0, 4.0, 5.0]).tolist()


@pytest.mark.parametrize(
    ("lengths", "angles", "message"),
    [
        ([0, 1, 1], [90, 90, 90], "not all positive"),
        ([1, 1, 1], [90, 0, 90], "between 0 and 180"),
        ([1, 1, 1], [30, 30, 90], "span a volume"),
        ([1, 1, 1], [120, 120, 120], "span a volume"),
    ],
)
def test_impossible_cells(lengths: list[float], angles: list[float], message: str) -> None:
    """Lengths and angles of no cell are refused."""
    with pytest.raises(ValueError, match=message):
        cell_from_parameters(lengths, angles)
