"""Symmetry operations of a CIF."""

from __future__ import annotations

import numpy as np
import pytest

from crystalmesh_common.crystal.cif_symmetry import (
    format_operation,
    operations_of_setting,
    parse_operation,
    symmetry_operations,
)
from crystalmesh_common.crystal.cif_syntax import CifBlock
from crystalmesh_common.crystal.structure import cell_from_parameters
from crystalmesh_common.runtime.errors import UnreadableCrystalError

CUBIC = np.eye(3) * 4.0


@pytest.mark.parametrize(
    ("text", "rotation", "translation"),
    [
        ("x,y,z", np.eye(3), [0, 0, 0]),
        ("-Y, X-Y, Z+1/3", [[0, -1, 0], [1, -1, 0], [0, 0, 1]], [0, 0, 1 / 3]),
        ("1/2+x , 0.5-y,-z", np.diag([1, -1, -1]), [0.5, 0.5, 0]),
        ("+x,1*y,z-.25", np.eye(3), [0, 0, -0.25]),
    ],
)
def test_parse(text: str, rotation: object, translation: object) -> None:
    """Operations are read in the spellings that files use."""
    parsed = parse_operation(text)
    np.testing.assert_allclose(parsed[0], rotation)
    np.testing.assert_allclose(parsed[1], translation)


@pytest.mark.parametrize(
    "text",
    ["", "x,y", "x,y,z,t", "x,y,w", "xy,y,z", "x,y,z+1/0", "2x,y,z", "x,x,z", "x,,z", "+,y,z", "x" * 500],
)
def test_no_operation(text: str) -> None:
    """What is no symmetry operation is refused."""
    with pytest.raises(UnreadableCrystalError):
        parse_operation(text)


def test_format_is_the_inverse_of_parse() -> None:
    """All operations of all 530 settings survive being written and read."""
    for hall_number in range(1, 531):
        operations = operations_of_setting(hall_number)
        for rotation, translation in zip(
            operations.rotations[-8:], operations.translations[-8:], strict=True
        ):
            back = parse_operation(format_operation(rotation, translation))
            np.testing.assert_array_equal(back[0], rotation)
            np.testing.assert_allclose(back[1], translation, atol=1e-9)


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({}, 1),
        ({"_symmetry_space_group_name_h-m": "P 1"}, 1),
        ({"_space_group_name_h-m_alt": "F d -3 m :2"}, 192),
        ({"_space_group_name_h-m_alt": "Fd-3m:1"}, 192),
        ({"_space_group_name_hall": "-F 4vw 2vw 3"}, 192),
        ({"_symmetry_int_tables_number": "221"}, 48),
        ({"_space_group_it_number": "221", "_space_group_name_h-m_alt": "?"}, 48),
        ({"_space_group_name_h-m_alt": "P 21/n"}, 4),
        ({"_space_group_name_h-m_alt": "P 1 2_1/n 1"}, 4),
        ({"_space_group_name_h-m_alt": "P b n m"}, 8),
    ],
)
def test_by_name(values: dict[str, str], count: int) -> None:
    """Space groups are found by Hall symbol, by any Hermann-Mauguin spelling, and by number."""
    assert len(symmetry_operations(CifBlock("x", values), CUBIC)) == count


def test_rhombohedral_axes() -> None:
    """A rhombohedral group takes the axes that fit the cell."""
    block = CifBlock("x", {"_space_group_name_h-m_alt": "R -3 m"})
    hexagonal = cell_from_parameters([4, 4, 12], [90, 90, 120])
    rhombohedral = cell_from_parameters([5, 5, 5], [50, 50, 50])
    assert len(symmetry_operations(block, hexagonal)) == 36
    assert len(symmetry_operations(block, rhombohedral)) == 12


def test_magnetic() -> None:
    """Operations of a magnetic CIF count without their time reversal, times its centerings."""
    block = CifBlock(
        "x",
        columns={
            "_space_group_symop_magn_operation_xyz": ["x,y,z,+1", "-x,-y,-z,-1"],
            "_space_group_symop_magn_centering_xyz": ["x,y,z,+1", "x+1/2,y+1/2,z+1/2,-1"],
        },
    )
    operations = symmetry_operations(block, CUBIC)
    assert len(operations) == 4
    np.testing.assert_allclose(operations.translations[3], [0.5, 0.5, 0.5])
