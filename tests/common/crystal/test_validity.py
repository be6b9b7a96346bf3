"""The check that every input passes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import (
    CrystalError,
    InvalidCrystalError,
    OverlappingAtomsError,
    TooManyAtomsError,
)
from tests.common.crystal.strategies import crystals
from tests.conftest import block, iron, sodium_chloride


def test_good_crystals_pass() -> None:
    """Real crystals pass, from one atom to thousands, whatever images their atoms are given at."""
    check_crystal(sodium_chloride(), max_atoms=2)
    check_crystal(iron(), max_atoms=2)
    check_crystal(block(repeat=10), max_atoms=2000)
    check_crystal(replace(iron(), frac_coords=iron().frac_coords + np.array([3.0, -7.0, 0.0])), max_atoms=2)


def _with(**changes: object) -> Crystal:
    return replace(iron(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("crystal", "message"),
    [
        (_with(numbers=np.array([], dtype=int), frac_coords=np.zeros((0, 3))), "no atoms"),
        (_with(numbers=np.array([26, 0])), "site 1 has atomic number 0"),
        (_with(numbers=np.array([119, 26])), "site 0 has atomic number 119"),
        (_with(frac_coords=np.array([[0, 0, 0], [0.5, np.nan, 0]])), "coordinate y of site 1 is nan"),
        (_with(frac_coords=np.array([[0, 0, np.inf], [0.5, 0.5, 0]])), "coordinate z of site 0 is inf"),
        (_with(frac_coords=np.array([[0, 0, 1e7], [0.5, 0.5, 0]])), "coordinate z of site 0 is 1e\\+07"),
        (_with(frac_coords=np.zeros((3, 3))), "shape"),
        (_with(cell=np.full((3, 3), np.nan)), "9 finite numbers"),
        (_with(cell=np.diag([3, 3, np.inf])), "9 finite numbers"),
        (_with(cell=np.zeros((3, 3))), "spans no volume"),
        (_with(cell=np.array([[3.0, 0, 0], [0, 3, 0], [3, 3, 0]])), "spans no volume"),
        (_with(cell=np.diag([3.0, 3.0, 0.01])), "spans no volume"),
        (_with(cell=np.diag([3.0, 3.0, 2e4])), "longer than 10000"),
        (_with(cell=np.diag([3.0, 3.0, 1e300])), "longer than 10000"),
        (_with(cell=np.diag([0.7, 0.7, 0.7])), "denser than any solid"),
        (_with(magnetic_moments=np.array([1.0])), "magnetic moments"),
        (_with(magnetic_moments=np.array([1.0, np.nan])), "magnetic moments"),
    ],
)
def test_no_crystal(crystal: Crystal, message: str) -> None:
    """Numbers that are no crystal are refused with what is wrong and where."""
    with pytest.raises(InvalidCrystalError, match=message):
        check_crystal(crystal, max_atoms=100)


def test_too_many_atoms() -> None:
    """One atom too many is refused with both numbers, before anything is computed."""
    crystal = replace(block(repeat=4), frac_coords=np.full((128, 3), np.nan))
    with pytest.raises(TooManyAtomsError, match="128 atoms; at most 127"):
        check_crystal(crystal, max_atoms=127)


@pytest.mark.parametrize("repeat", [1, 8])
def test_overlap_across_the_boundary(repeat: int) -> None:
    """Two atoms at one place are named with their distance, also through a face of the cell."""
    crystal = block(repeat=repeat)
    crowded = replace(
        crystal,
        numbers=np.append(crystal.numbers, 8),
        frac_coords=np.vstack([crystal.frac_coords, crystal.frac_coords[0] + [1.0 - 1e-4, 2.0, -1.0]]),
    )
    with pytest.raises(
        OverlappingAtomsError, match=r"sites 0 \(Na\) and \d+ \(O\) are 0\.00\d+ Å"
    ) as refused:
        check_crystal(crowded, max_atoms=2000)
    assert refused.value.details["second_site"] == str(len(crystal))


def test_thousands_at_one_place() -> None:
    """Ten thousand atoms at one place are refused, and do not make ten thousand squared pairs."""
    crystal = Crystal(np.eye(3) * 60.0, np.full(10_000, 26), np.zeros((10_000, 3)))
    with pytest.raises(OverlappingAtomsError):
        check_crystal(crystal, max_atoms=10_000)


@settings(deadline=None, max_examples=200)
@given(
    crystal=crystals(),
    cell=st.lists(st.floats(), min_size=9, max_size=9),
    site=st.lists(st.floats(), min_size=3, max_size=3),
)
def test_any_numbers(crystal: Crystal, cell: list[float], site: list[float]) -> None:
    """Whatever the doubles are, the answer is a pass or a CrystalError, without a warning."""
    odd = replace(crystal, frac_coords=np.vstack([site, crystal.frac_coords[1:]]))
    for candidate in (odd, replace(crystal, cell=np.array(cell).reshape(3, 3))):
        with suppress(CrystalError):
            check_crystal(candidate, max_atoms=100)
