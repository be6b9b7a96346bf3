from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_relaxation.dynamics.bonds import Bonds, ShortestDistance
from tests.conftest import block, iron, lone_atom, silicon, sodium_chloride


@pytest.mark.parametrize(
    ("crystal", "neighbours"), [(silicon(), 4), (sodium_chloride(), 6), (iron(), 14), (block(repeat=2), 6)]
)
def test_neighbours_are_those_of_the_structure(crystal: Crystal, neighbours: int) -> None:
    """Four in diamond, six in rock salt, the two nearest shells in bcc; images counted in small cells."""
    bonds = Bonds.of(crystal)
    assert np.bincount(bonds.first).tolist() == [neighbours] * len(crystal)


def test_without_bonds_none_is_lost() -> None:
    """A crystal of atoms on their own keeps all of nothing."""
    assert Bonds.of(lone_atom()).kept_fraction(lone_atom()) == 1


def test_a_bond_is_lost_when_it_is_long_not_when_the_crystal_swells() -> None:
    """An atom pulled off loses bonds; a cell that is a tenth longer loses none."""
    crystal = block(repeat=2)
    bonds = Bonds.of(crystal)
    assert bonds.kept_fraction(crystal) == 1
    assert bonds.kept_fraction(replace(crystal, cell=1.1 * crystal.cell)) == 1
    pulled = crystal.frac_coords.copy()
    pulled[0] += 0.5
    assert 0 < bonds.kept_fraction(replace(crystal, frac_coords=pulled)) < 1


def test_the_same_neighbour_in_another_cell_is_not_the_same_bond() -> None:
    """An atom that moved by a lattice vector has left its neighbours, though the crystal looks the same."""
    crystal = silicon()
    moved = crystal.frac_coords + np.array([[0, 0, 0], [1.0, 0, 0]])
    assert Bonds.of(crystal).kept_fraction(replace(crystal, frac_coords=moved)) < 1


def test_the_shortest_distance_only_shrinks() -> None:
    """Atoms that come closer count, atoms that part again do not."""
    shortest = ShortestDistance(silicon())
    start = shortest.angstrom
    assert start == pytest.approx(5.47 * np.sqrt(3) / 4)
    assert not shortest.observe(silicon(shift=0.05))
    nearer = shortest.angstrom
    assert nearer < start
    shortest.observe(silicon())
    assert shortest.angstrom == nearer
