from __future__ import annotations

import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.samples.screening import PropertyScreen, property_screen
from tests.conftest import sodium_chloride
from tests.property.crystals import rock_salt

HULL, GAP = "energy_above_hull_ev_per_atom", "band_gap_ev"


@pytest.fixture(scope="module")
def screen() -> PropertyScreen:
    screen = property_screen("cpu")
    assert screen is not None
    return screen


def test_the_shipped_networks_screen(screen: PropertyScreen) -> None:
    """Numbers for each crystal in order, and nothing for one that cannot be read; rock salt is what it is."""
    salt = sodium_chloride()
    flat = Crystal(salt.cell * [[1], [1], [0]], salt.numbers, salt.frac_coords)
    known, none, other = screen.predicted([salt, flat, rock_salt(0)], [HULL, GAP])
    assert set(known) == set(other) == {HULL, GAP}
    assert 0 <= known[HULL] < 0.1
    assert 4 < known[GAP] < 6
    assert not none


def test_only_what_is_asked_for_and_can_be_told_is_told(screen: PropertyScreen) -> None:
    """And what else is asked for changes nothing about it."""
    salt = sodium_chloride()
    (all_told,) = screen.predicted([salt], [HULL, GAP, "bulk_modulus_gpa", "density_g_per_cubic_centimeter"])
    (told,) = screen.predicted([salt], {HULL})
    assert set(all_told) == {HULL, GAP, "bulk_modulus_gpa"}
    assert told == {HULL: all_told[HULL]}
    assert list(screen.predicted([salt], ["atoms_in_cell"])) == [{}]
