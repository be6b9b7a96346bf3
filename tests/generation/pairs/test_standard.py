from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES
from crystalmesh_common.crystal.matching import same_structure
from crystalmesh_common.crystal.structure import Crystal, cell_parameters
from crystalmesh_common.crystal.symmetry import conventional_cell
from crystalmesh_common.runtime.errors import InvalidCrystalError
from crystalmesh_generation.pairs.standard import electronegativity_ranks, standard_setting, wrapped
from tests.generation.pairs.structures import STRUCTURES, disguised, perovskite, rock_salt
from tests.property.crystals import random_crystal


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES.keys())
def test_is_the_same_crystal(make: Callable[[], Crystal]) -> None:
    """The standard setting is the crystal, in a primitive cell, whatever cell it came in."""
    crystal = disguised(conventional_cell(make()), 4)
    standard = standard_setting(crystal)
    assert len(standard) == len(make())
    assert same_structure(standard, crystal)


@given(seed=st.integers(0, 10_000), atoms=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_is_written_in_order(seed: int, atoms: int) -> None:
    """Atoms come by electronegativity, in [0, 1) even in single precision, in no skewed cell."""
    crystal = disguised(random_crystal(seed, atoms=atoms), seed)
    standard = standard_setting(crystal)
    assert same_structure(standard, crystal)
    assert (np.diff(ELECTRONEGATIVITIES[standard.numbers]) >= 0).all()
    single = standard.frac_coords.astype(np.float32)
    assert ((single >= 0) & (single < 1)).all()
    _, angles = cell_parameters(standard.cell)
    assert angles.min() >= 30
    assert angles.max() <= 150


def test_is_the_same_every_time() -> None:
    """One input gives one setting, to the last bit."""
    crystal = disguised(perovskite(polar=0.02), 7)
    first, second = standard_setting(crystal), standard_setting(crystal)
    np.testing.assert_array_equal(first.cell, second.cell)
    np.testing.assert_array_equal(first.frac_coords, second.frac_coords)
    assert first.id == second.id == crystal.id


def test_needles_are_reduced() -> None:
    """The primitive cell of a long body-centred one has angles that integers cannot tell; it is reduced."""
    sites = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]])
    long = Crystal(np.diag([3.0, 3.0, 40.0]), np.array([29, 29]), sites)
    standard = standard_setting(long)
    _, angles = cell_parameters(standard.cell)
    assert len(standard) == 1
    assert angles.min() >= 30
    assert standard.volume == pytest.approx(180.0)


def test_symmetry_is_not_forced() -> None:
    """Atoms closer than the tolerance stay two: a tighter one is taken."""
    close = Crystal(np.diag([3.0, 3.0, 3.0]), np.array([1, 1]), np.array([[0.0, 0, 0], [0.0, 0, 0.03]]))
    assert len(standard_setting(close)) == 2


def test_order_of_elements_is_total() -> None:
    """Elements of equal electronegativity have ranks of their own."""
    assert len(set(electronegativity_ranks(np.arange(1, 119)).tolist())) == 118


def test_almost_one_is_zero() -> None:
    """What single precision would round to 1 becomes 0, so that it stays in the cell."""
    np.testing.assert_array_equal(wrapped(np.array([-1e-12, 1 - 1e-9, 1.25, 0.5])), [0, 0, 0.25, 0.5])


def test_refuses_a_flat_cell() -> None:
    """A cell that spans no volume has no standard setting."""
    with pytest.raises(InvalidCrystalError):
        standard_setting(Crystal(np.diag([4.0, 4.0, 0.0]), np.array([11, 17]), rock_salt().frac_coords))
