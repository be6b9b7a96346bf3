"""Which atoms are bonded to which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crystalmesh_common.crystal.description.elements import COVALENT_RADII_ANGSTROM, ELECTRONEGATIVITIES
from crystalmesh_common.crystal.description.voronoi import Faces, voronoi_faces
from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray

_LARGEST_ELECTRONEGATIVITY_DIFFERENCE = 3.3
_AFFINITY = 3.0
"""How many times more a face weighs between the most unlike elements than between equal ones."""

_BONDED_BELOW_ANGSTROM = 0.5
_APART_BEYOND_ANGSTROM = 1.0
"""Both beyond the sum of the covalent radii. A weight falls smoothly to 0 from the one to the other."""

_EQUAL_WEIGHTS = 1e-3


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """The nearest neighbours of one atom, the closest first; none for an isolated atom."""

    sites: IntArray  # (n,)
    images: IntArray  # (n, 3), the cell that each is in
    vectors: FloatArray  # (n, 3), from the atom, in Å
    lengths: FloatArray  # (n,), in Å

    def __len__(self) -> int:
        return len(self.sites)


def neighbourhoods(crystal: Crystal) -> list[Neighbourhood]:
    """The nearest neighbours of every atom of a crystal that passed `check_crystal`.

    A candidate weighs by its Voronoi face and by how unlike the elements are; of the ways to cut the
    candidates between two weights, the one with the widest gap is taken. These are the ideas of CrystalNN
    (Pan et al., Inorg. Chem. 60, 1590, 2021), and so are the constants; no oxidation states are guessed.

    The relation is not symmetric: a small atom may be a neighbour of a large one and not the other way.
    """
    return [
        _nearest(faces, int(number), crystal.numbers[faces.neighbours])
        for number, faces in zip(crystal.numbers, voronoi_faces(crystal), strict=True)
    ]


def _nearest(faces: Faces, number: int, numbers: IntArray) -> Neighbourhood:
    lengths = np.sqrt((faces.vectors * faces.vectors).sum(axis=1))
    weights = faces.solid_angles**2 / faces.areas * _affinities(number, numbers)
    weights = weights / weights.max(initial=1e-300) * _closeness(lengths, number, numbers)
    descending = np.argsort(-weights, kind="stable")
    chosen = descending[: _coordination_number(weights[descending])]
    chosen = chosen[np.argsort(lengths[chosen], kind="stable")]
    return Neighbourhood(
        faces.neighbours[chosen], faces.images[chosen], faces.vectors[chosen], lengths[chosen]
    )


def _affinities(number: int, numbers: IntArray) -> FloatArray:
    own, others = ELECTRONEGATIVITIES[number], ELECTRONEGATIVITIES[numbers]
    differences = np.where((own > 0) & (others > 0), np.abs(own - others), 0.0)
    affinities: FloatArray = 1 + _AFFINITY * np.sqrt(differences / _LARGEST_ELECTRONEGATIVITY_DIFFERENCE)
    return affinities


def _closeness(lengths: FloatArray, number: int, numbers: IntArray) -> FloatArray:
    excess = lengths - COVALENT_RADII_ANGSTROM[number] - COVALENT_RADII_ANGSTROM[numbers]
    along = (excess - _BONDED_BELOW_ANGSTROM) / (_APART_BEYOND_ANGSTROM - _BONDED_BELOW_ANGSTROM)
    closeness: FloatArray = (np.cos(np.clip(along, 0, 1) * np.pi) + 1) / 2
    return closeness


def _coordination_number(weights: FloatArray) -> int:
    """How many of the weights, in descending order and at most 1, stand before the widest gap.

    Gaps are measured on the area of a quarter circle, which makes those near 1 small: weights of distorted
    polyhedra scatter there.
    """
    positive = weights[weights > _EQUAL_WEIGHTS]
    levels = np.concatenate([[1.0], positive, [0.0]])
    areas = levels * np.sqrt(np.maximum(1 - levels**2, 0)) + np.arcsin(np.minimum(levels, 1))
    gaps = areas[:-1] - areas[1:]
    gaps[np.flatnonzero(levels[:-1] - levels[1:] < _EQUAL_WEIGHTS)] = 0
    # Entry n of `gaps` lies between the first n atoms and the others.
    return int(np.argmax(gaps))
