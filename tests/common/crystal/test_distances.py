"""Distances between atoms and their images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings

from crystalmesh_common.crystal.distances import closest_pair, plane_spacings, shortest_distance
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidCrystalError
from tests.common.crystal.strategies import crystals
from tests.conftest import block, lone_atom, sodium_chloride


def _by_enumeration(crystal: Crystal) -> float:
    """The shortest distance over many images of every pair."""
    reach = range(-6, 7)
    shifts = np.array(list(itertools.product(reach, reach, reach))) @ crystal.cell
    home = (crystal.frac_coords - np.floor(crystal.frac_coords)) @ crystal.cell
    distances = np.linalg.norm(home[:, None, None] - home[None, :, None] + shifts, axis=-1)
    distances[np.arange(len(home)), np.arange(len(home)), len(shifts) // 2] = np.inf  # an atom and itself
    return float(distances.min())


@settings(deadline=None, max_examples=60)
@given(crystal=crystals(max_atoms=4))
def test_shortest_is_the_shortest(crystal: Crystal) -> None:
    """The shortest distance is that of an enumeration of images, for any cell."""
    assert shortest_distance(crystal) == pytest.approx(_by_enumeration(crystal), abs=1e-9)


def test_known_distances() -> None:
    """Rock salt has half its cubic edge between ions, and so has a block of it; a lone atom has its image."""
    assert shortest_distance(sodium_chloride(a=5.69)) == pytest.approx(5.69 / 2)
    assert shortest_distance(lone_atom()) == pytest.approx(20.0)
    assert shortest_distance(block(repeat=6)) == pytest.approx(5.69 / 2)


def test_skewed_cell() -> None:
    """A badly skewed cell of the same lattice gives the same distance."""
    crystal = sodium_chloride()
    skew = np.array([[1, 0, 0], [40, 1, 0], [-70, 30, 1]])
    skewed = Crystal(skew @ crystal.cell, crystal.numbers, crystal.frac_coords @ np.linalg.inv(skew))
    assert shortest_distance(skewed) == pytest.approx(5.69 / 2, abs=1e-6)


@pytest.mark.parametrize("n_atoms", [10, 200])
def test_closest_pair_of_few_and_of_many(n_atoms: int) -> None:
    """Few atoms and many, which are searched differently, give the planted pair."""
    rng = np.random.default_rng(n_atoms)
    grid = np.array(list(itertools.product(range(6), repeat=3)))[:n_atoms] / 6
    crystal = Crystal(np.eye(3) * 18 + rng.normal(size=(3, 3)), np.full(n_atoms, 14), grid)
    crystal.frac_coords[-1] = grid[0] - [0.002, 0, 1]
    pair = closest_pair(crystal, within_angstrom=0.5)
    assert pair is not None
    assert (pair.first_site, pair.second_site) == (0, n_atoms - 1)
    assert pair.distance_angstrom == pytest.approx(0.002 * np.linalg.norm(crystal.cell[0]))
    assert closest_pair(crystal, within_angstrom=0.01) is None


def test_flat_cell() -> None:
    """A flat cell has no plane spacing and no shortest distance."""
    flat = Crystal(np.array([[3.0, 0, 0], [0, 3, 0], [3, 3, 0]]), np.array([1]), np.zeros((1, 3)))
    assert plane_spacings(flat.cell).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(InvalidCrystalError, match="spans no volume"):
        shortest_distance(flat)
