"""Space groups and standard cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import (
    atoms_in_primitive_cell,
    conventional_cell,
    keeps_its_atoms,
    primitive_cell,
    space_group_number,
    symmetry_of,
)
from crystalmesh_common.runtime.errors import InvalidCrystalError
from tests.common.crystal.strategies import crystals
from tests.conftest import block, iron, silicon, sodium_chloride


def test_known_groups() -> None:
    """Rock salt, diamond and bcc iron have their groups, symbols and systems."""
    salt = symmetry_of(sodium_chloride())
    assert (salt.space_group_number, salt.space_group_symbol) == (225, "Fm-3m")
    assert (salt.crystal_system, salt.point_group) == ("cubic", "m-3m")
    assert salt.orbits == (0, 1)
    assert salt.site_symmetries == ("m-3m", "m-3m")
    assert symmetry_of(silicon()).space_group_symbol == "Fd-3m"
    assert space_group_number(iron()) == 229


def test_tolerance() -> None:
    """A small displacement lowers the group below the tolerance and not above it."""
    rattled = silicon(shift=0.002)
    assert space_group_number(rattled, symprec=1e-4) < 227
    assert space_group_number(rattled, symprec=0.1) == 227


@settings(deadline=None, max_examples=60)
@given(crystal=crystals())
def test_any_crystal(crystal: Crystal) -> None:
    """Any crystal has a space group or an InvalidCrystalError, and its primitive cell the same group."""
    try:
        number = space_group_number(crystal)
    except InvalidCrystalError:
        return
    assert 1 <= number <= 230
    assert len(primitive_cell(crystal)) <= len(crystal)


def test_standard_cells() -> None:
    """Primitive and conventional cells hold the same material, at the same density, under the same id."""
    primitive, conventional = primitive_cell(block("x", repeat=2)), conventional_cell(sodium_chloride("y"))
    assert (len(primitive), primitive.id) == (2, "x")
    assert (len(conventional), conventional.id) == (8, "y")
    assert primitive.volume / 2 == pytest.approx(conventional.volume / 8)
    np.testing.assert_allclose(conventional.cell, np.eye(3) * 5.69, atol=1e-9)


@pytest.mark.parametrize(
    "lengths", [(0.4157, 1.64, 1600.0), (0.6, 2.6, 8000.0), (1.18, 4.99, 1049.0), (2.93, 1254.0, 1411.0)]
)
def test_needles_and_sheets_end(lengths: tuple[float, float, float]) -> None:
    """Cells on which moyopy alone would search without end are answered, at a tighter tolerance."""
    crystal = Crystal(np.diag(lengths), np.array([6]), np.zeros((1, 3)))
    assert space_group_number(crystal, symprec=0.1) == 47


def test_no_symmetry_can_be_determined() -> None:
    """Atoms closer than the tolerance, NaN and a flat cell are an InvalidCrystalError."""
    crowded = replace(iron(), frac_coords=np.array([[0, 0, 0], [1e-5, 0, 0]]))
    flat = replace(iron(), cell=np.diag([3.0, 3.0, 0.0]))
    infinite = replace(iron(), frac_coords=np.array([[0, 0, np.nan], [0.5, 0.5, 0.5]]))
    for crystal in (crowded, flat, infinite):
        with pytest.raises(InvalidCrystalError):
            symmetry_of(crystal)


def test_atoms_of_the_primitive_cell() -> None:
    """A supercell has those of its primitive cell; what would lose atoms to the tolerance keeps its own."""
    assert atoms_in_primitive_cell(block(repeat=2)) == 2
    assert atoms_in_primitive_cell(iron()) == 1
    clash = Crystal(4 * np.eye(3), np.array([14, 14]), np.array([[0, 0, 0], [0, 0, 0.01]]))
    assert atoms_in_primitive_cell(clash, symprec=0.1) == 2


def test_cells_of_one_material_keep_its_atoms() -> None:
    """A supercell keeps composition and density; another composition or fewer atoms do not."""
    salt = sodium_chloride()
    assert keeps_its_atoms(salt, block(repeat=2))
    assert not keeps_its_atoms(salt, silicon())
    assert not keeps_its_atoms(iron(), Crystal(iron().cell, np.array([26]), np.zeros((1, 3))))
