"""What holds a crystal together: which atoms are bonded at the start, and how close any two come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import primitive_neighbor_list

from crystalmesh_common.crystal.distances import closest_pair, shortest_distance
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray

BOND_TOLERANCE = 1.2
"""Two atoms are bonded within this many times the sum of their covalent radii."""
BROKEN_STRETCH = 1.4
"""A bond is broken beyond this many times its first length: the next neighbours are there."""
COLLISION_RADII = 0.5
"""Two atoms have collided within this many times the sum of their covalent radii."""


@dataclass(frozen=True, eq=False)
class Bonds:
    """The b bonds of a crystal, each in both directions, with the lengths that they had."""

    first: IntArray  # (b,)
    second: IntArray  # (b,)
    image: IntArray  # (b, 3), the periodic image of the second atom
    lengths: FloatArray  # (b,), in Å

    @classmethod
    def of(cls, crystal: Crystal) -> Self:
        """Those that the distances and the elements suggest; there may be none."""
        first, second, image, lengths = primitive_neighbor_list(  # type: ignore[no-untyped-call]
            "ijSd",
            (True, True, True),
            crystal.cell,
            crystal.cart_coords,
            BOND_TOLERANCE * covalent_radii[crystal.numbers],
            self_interaction=False,
        )
        return cls(first, second, image, lengths)

    def kept_fraction(self, crystal: Crystal) -> float:
        """The fraction not broken in the same crystal later, no atom wrapped; 1 where there were none."""
        if not len(self.lengths):
            return 1.0
        steps = crystal.frac_coords[self.second] + self.image - crystal.frac_coords[self.first]
        lengths = np.linalg.norm(steps @ crystal.cell, axis=1)
        return float((lengths <= BROKEN_STRETCH * self.lengths).mean())


class ShortestDistance:
    """The shortest distance between two atoms over a run."""

    def __init__(self, crystal: Crystal) -> None:
        # No two atoms are nearer, and this is all that later moments are compared with.
        self.angstrom = shortest_distance(crystal)

    def observe(self, crystal: Crystal) -> str:
        """Take the distances of this moment into account. Why the crystal is none any more, or nothing."""
        pair = closest_pair(crystal, within_angstrom=self.angstrom * (1 + 1e-9))
        if pair is None:
            return ""
        self.angstrom = min(self.angstrom, pair.distance_angstrom)
        sites = (pair.first_site, pair.second_site)
        radii = sum(float(covalent_radii[crystal.numbers[site]]) for site in sites)
        if pair.distance_angstrom >= COLLISION_RADII * radii:
            return ""
        first, second = (f"{site} ({symbol_of(int(crystal.numbers[site]))})" for site in sites)
        return f"sites {first} and {second} collided: they are {pair.distance_angstrom:.2f} Å apart"
