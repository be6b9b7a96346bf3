"""Validity as papers on generative models report it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition
from smact.screening import smact_validity

from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.generative_validity import (
    is_compositionally_valid,
    is_structurally_valid,
    validity_of,
)
from crystalmesh_common.crystal.structure import Crystal
from tests.conftest import iron, silicon, sodium_chloride


def _of(counts: dict[int, int]) -> Crystal:
    numbers = np.repeat(list(counts), list(counts.values()))
    return Crystal(np.eye(3) * 9.0, numbers, np.linspace(0, 0.9, len(numbers))[:, None] * np.ones(3))


def test_real_crystals_are_valid() -> None:
    """A salt, a semiconductor and a metal are valid, without reasons."""
    for crystal in (sodium_chloride(), silicon(), iron(), _of({26: 2, 8: 3}), _of({29: 1, 30: 1})):
        validity = validity_of(crystal)
        assert validity.valid
        assert validity.reasons == ()


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({11: 1, 17: 2}, "no oxidation states balance the charge"),
        ({11: 1, 18: 1}, "no oxidation state of Ar is known"),
        ({8: 1, 118: 1}, "no oxidation state of Og is known"),
    ],
)
def test_impossible_compositions(counts: dict[int, int], reason: str) -> None:
    """An impossible composition is invalid for a reason in words, and its structure may be valid."""
    validity = validity_of(_of(counts))
    assert not validity.compositional
    assert validity.structural
    assert reason in validity.reasons[0]


@settings(deadline=None, max_examples=150)
@given(counts=st.dictionaries(st.integers(1, 103), st.integers(1, 6), min_size=1, max_size=4))
def test_as_smact(counts: dict[int, int]) -> None:
    """The answer is SMACT's own for any composition."""
    theirs = smact_validity(
        Composition({symbol_of(z): n for z, n in counts.items()}), oxidation_states_set="smact14"
    )
    assert is_compositionally_valid(_of(counts)) == theirs


def test_many_elements() -> None:
    """A composition of twelve elements with many states each, 10^9 combinations, is answered at once."""
    many = [7, 8, 15, 16, 17, 24, 25, 26, 34, 42, 44, 53]
    assert is_compositionally_valid(_of({z: k + 1 for k, z in enumerate(many)}))


@pytest.mark.parametrize(
    ("crystal", "reason"),
    [
        (replace(iron(), frac_coords=np.array([[0, 0, 0], [0.17, 0, 0]])), "two atoms are 0.483 Å apart"),
        (replace(iron(), cell=np.eye(3) * 0.4), "the volume is 0.064 Å³"),
        (replace(iron(), cell=np.diag([0.4, 9.0, 9.0])), "two atoms are 0.4 Å apart"),
        (replace(iron(), cell=np.zeros((3, 3))), "the volume is 0 Å³"),
        (replace(iron(), cell=np.full((3, 3), np.nan)), "not finite"),
        (replace(iron(), frac_coords=np.full((2, 3), np.inf)), "not finite"),
        (Crystal(np.eye(3) * 4, np.array([], dtype=int), np.zeros((0, 3))), "no atoms"),
        (replace(iron(), numbers=np.array([0, 26])), "an atomic number is no element"),
    ],
)
def test_impossible_structures(crystal: Crystal, reason: str) -> None:
    """Any crystal is judged, and what no model could compute with is invalid for a reason in words."""
    validity = validity_of(crystal)
    assert not validity.valid
    assert reason in " ".join(validity.reasons)


def test_structure_alone() -> None:
    """Structural validity does not ask about chemistry."""
    assert is_structurally_valid(_of({11: 1, 17: 2}))
    assert not is_structurally_valid(replace(iron(), cell=np.eye(3) * 0.5))
