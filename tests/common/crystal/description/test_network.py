"""What bonds make of the atoms."""

from __future__ import annotations

from collections import Counter

import pytest

from crystalmesh_common.crystal.description.neighbours import neighbourhoods
from crystalmesh_common.crystal.description.network import components, is_cation, shared_corners
from crystalmesh_common.crystal.structure import Crystal
from tests.common.crystal.description.known_structures import (
    copper_gold,
    dry_ice,
    molybdenite,
    selenium,
    titania,
)
from tests.conftest import block, lone_atom, sodium_chloride


@pytest.mark.parametrize(
    ("crystal", "dimensions", "sizes"),
    [
        (sodium_chloride(), [3], [2]),
        (block(repeat=2), [3], [16]),
        (molybdenite(), [2, 2], [3, 3]),
        (selenium(), [1], [3]),
        (dry_ice(), [0] * 4, [3] * 4),
        (lone_atom(), [0], [1]),
    ],
)
def test_components(crystal: Crystal, dimensions: list[int], sizes: list[int]) -> None:
    """Frameworks, layers, chains and molecules are told apart, in a supercell too."""
    found = components(neighbourhoods(crystal))
    assert [component.dimension for component in found] == dimensions
    assert [len(component.sites) for component in found] == sizes
    assert sorted(site for component in found for site in component.sites) == list(range(len(crystal)))


def test_shared_corners() -> None:
    """An octahedron of rutile shares an edge with 2 others and a corner with 8."""
    around = neighbourhoods(titania())
    shared = shared_corners({site: around[site] for site in (0, 1)})
    for site in (0, 1):
        assert shared[site] == Counter({(site, 2): 2, (1 - site, 1): 8})


def test_cations() -> None:
    """Cations are among anions only: anions and the atoms of an alloy are none, carbon in dry ice is."""
    for crystal, sites in ((titania(), {0, 1}), (copper_gold(), set()), (dry_ice(), {0, 1, 2, 3})):
        around = neighbourhoods(crystal)
        assert {site for site, near in enumerate(around) if is_cation(crystal, site, near)} == sites
