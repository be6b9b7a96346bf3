"""Which element may come next, so that limits on the composition can still be met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet

from crystalmesh_common.crystal.composition_limits import CompositionLimits
from crystalmesh_common.runtime.errors import ContradictoryTargetError


class AtomsSoFar:
    """The atoms of a cell that is being written, of at most `max_atoms`.

    Raises ContradictoryTargetError where no cell is within the limits with the elements that are `known`.
    """

    def __init__(self, limits: CompositionLimits, max_atoms: int, known: AbstractSet[int]) -> None:
        self.max_atoms = min(max_atoms, limits.max_atoms)
        self.count = 0
        self._limits = limits
        self._counts: Counter[int] = Counter()
        self._missing = limits.required
        elements = limits.elements & known
        self._formula = dict(limits.formula or ())
        self._units = [
            units for units in limits.formula_units if units * sum(self._formula.values()) <= self.max_atoms
        ]
        demanded = limits.required | self._formula.keys()
        if self._formula:
            possible = bool(self._units) and limits.required <= self._formula.keys()
            self._elements = elements & self._formula.keys()
        else:
            possible = bool(elements) and self.least_rest <= self.max_atoms
            self._elements = elements
        if not possible or not demanded <= elements:
            raise ContradictoryTargetError("no cell is within the limits of the composition", field="target")

    @property
    def least_rest(self) -> int:
        """How many more atoms it takes at least; 0 for a cell that is complete."""
        if self._formula:
            return self._rest_of_formula(None) or 0
        return max(self._limits.min_atoms - self.count, len(self._missing), 1 - self.count)

    def allowed(self, room: int) -> frozenset[int]:
        """The elements that may come next, where there is room for so many more atoms."""
        room = min(room, self.max_atoms - self.count) - 1
        if self._formula:
            rests = {number: self._rest_of_formula(number) for number in self._elements}
            return frozenset(number for number, rest in rests.items() if rest is not None and rest <= room)
        if max(self._limits.min_atoms - self.count - 1, len(self._missing)) <= room:
            return self._elements
        return self._missing if room >= 0 else frozenset()

    def add(self, number: int) -> None:
        self.count += 1
        self._counts[number] += 1
        if number in self._missing:
            self._missing -= {number}

    def _rest_of_formula(self, number: int | None) -> int | None:
        """Atoms until a whole number of formula units after one of this element; None: never."""
        counts = self._counts if number is None else self._counts + Counter({number: 1})
        units = max((-(-counts[each] // self._formula[each]) for each in counts), default=0)
        enough = next((possible for possible in self._units if possible >= units), None)
        if enough is None:
            return None
        return enough * sum(self._formula.values()) - counts.total()
