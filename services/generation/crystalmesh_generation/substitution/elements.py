"""What substitution knows of elements: how often one stands in another's place, and how large each is."""

from __future__ import annotations

import math
from typing import Protocol

from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES

_UNSEEN = 1e-6
_PER_ELECTRONEGATIVITY = 2.0


class ElementTable(Protocol):
    """Mined from known crystals; `SubstitutionTable` is the one that is shipped."""

    @property
    def version(self) -> str:
        """Names the table among others."""
        ...

    def probability(self, from_number: int, to_number: int) -> float:
        """How likely the second element is found in the place of the first; 0 where it never was."""
        ...

    def volume_of(self, number: int) -> float:
        """The volume in Å³ that an atom of an element takes in a crystal; positive for every element."""
        ...


def plausibility(table: ElementTable, from_number: int, to_number: int) -> float:
    """The table's probability, or a much smaller number that is never 0 and favours alike elements.

    For replacements that a target asks for, whether they were ever seen or not; 1 for none at all.
    """
    if from_number == to_number:
        return 1.0
    seen = table.probability(from_number, to_number)
    if seen >= _UNSEEN:
        return seen
    difference = abs(float(ELECTRONEGATIVITIES[from_number] - ELECTRONEGATIVITIES[to_number]))
    return max(seen, _UNSEEN * math.exp(-_PER_ELECTRONEGATIVITY * difference))
