from __future__ import annotations

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.samples.screening import property_screen
from tests.conftest import sodium_chloride
from tests.property.crystals import rock_salt


def test_the_shipped_network_screens() -> None:
    """A number for each crystal in order, and nothing for one that it cannot read; a known one lies low."""
    screen = property_screen("cpu")
    assert screen is not None
    salt = sodium_chloride()
    flat = Crystal(salt.cell * [[1], [1], [0]], salt.numbers, salt.frac_coords)
    known, none, other = screen.hull_distances([salt, flat, rock_salt(0)])
    assert known is not None
    assert other is not None
    assert 0 <= known < 0.1
    assert none is None
