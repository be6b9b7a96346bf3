"""How alike elements are, and whole sets of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES
from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER
from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_generation.pairs.standard import electronegativity_ranks

_MENDELEEV_STEP = 8.0
_ELECTRONEGATIVITY_STEP = 0.35
"""Elements this far apart differ by 1: about neighbours in a group or in a row of transition metals."""

_LAWRENCIUM = 103
_NOWHERE = -200.0


@lru_cache(maxsize=1)
def unlikeness() -> FloatArray:
    """How far elements are apart in Mendeleev number and electronegativity, by two atomic numbers.

    (119, 119); those beyond lawrencium, which have no such number, are far from all others.
    """
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    order = np.full(MAX_ATOMIC_NUMBER + 1, _NOWHERE)
    order[1 : _LAWRENCIUM + 1] = [float(Element.from_Z(z).mendeleev_no) for z in range(1, _LAWRENCIUM + 1)]
    electronegativities = np.nan_to_num(ELECTRONEGATIVITIES)
    distances: FloatArray = np.hypot(
        (order[:, None] - order[None]) / _MENDELEEV_STEP,
        (electronegativities[:, None] - electronegativities[None]) / _ELECTRONEGATIVITY_STEP,
    )
    return distances


def by_share(crystal: Crystal) -> tuple[IntArray, IntArray]:
    """The elements and how many sites each has, by that number and then by electronegativity.

    Of two crystals of one anonymous formula, elements at one place are those that a chemist would exchange.
    """
    elements, counts = np.unique(crystal.numbers, return_counts=True)
    order = np.lexsort((electronegativity_ranks(elements), counts))
    return elements[order], counts[order]
