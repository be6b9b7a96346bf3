"""Nearest neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core.local_env import CrystalNN

from crystalmesh_common.crystal.description.neighbours import neighbourhoods
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal
from tests.common.crystal.description.known_structures import (
    known_structures,
    strontium_titanate,
    titania,
)
from tests.conftest import lone_atom


@pytest.mark.filterwarnings("ignore:No oxidation states:UserWarning")  # it would use them if it had them
@pytest.mark.filterwarnings("ignore:CrystalNN:UserWarning")
@pytest.mark.parametrize("crystal", known_structures(), ids=lambda crystal: crystal.id or None)
def test_as_crystal_nn(crystal: Crystal) -> None:
    """Coordination numbers are those of pymatgen's CrystalNN."""
    structure, their = to_structure(crystal), CrystalNN()
    expected = [their.get_cn(structure, site) for site in range(len(crystal))]
    assert [len(neighbours) for neighbours in neighbourhoods(crystal)] == expected


def test_distances() -> None:
    """Neighbours come the closest first, with the distances of their images."""
    crystal = titania()
    for site, neighbours in enumerate(neighbourhoods(crystal)):
        ends = (crystal.frac_coords[neighbours.sites] + neighbours.images) @ crystal.cell
        np.testing.assert_allclose(
            np.linalg.norm(ends - crystal.cart_coords[site], axis=1), neighbours.lengths, atol=1e-12
        )
        assert (np.diff(neighbours.lengths) >= 0).all()


def test_not_symmetric() -> None:
    """A large atom may have neighbours of which it is none: strontium in a perovskite."""
    around = neighbourhoods(strontium_titanate())
    assert [len(neighbours) for neighbours in around] == [12, 6, 2, 2, 2]


def test_isolated_atom() -> None:
    """An atom with nothing near has no neighbours."""
    assert [len(neighbours) for neighbours in neighbourhoods(lone_atom())] == [0]
