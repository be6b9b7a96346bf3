"""Which of very many compounds to compute: likely ones, spread over elements, systems and structure types."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crystalmesh_common.crystal.composition import reduced_formula_of
from crystalmesh_retrieval.starter.decoration import Decoration, chemical_system_of
from crystalmesh_retrieval.starter.substitution import Substitution, balances

SHARES: Mapping[tuple[bool, int], int] = {
    (True, 2): 4,
    (True, 3): 8,
    (True, 4): 3,
    (False, 2): 3,
    (False, 3): 3,
}
"""Ionic or not, and number of elements: how many of each in a round."""
_PER_PROTOTYPE, _PER_ELEMENT, _PER_SYSTEM, _PER_FORMULA = 0.7, 0.9, 0.6, 1.2
"""What a compound loses for those like it that were taken before."""
_RADIOACTIVE = frozenset(["Tc", "Pm", "Ac", "Pa", "Np", "Pu"])
_FOR_RADIOACTIVE = 1.5


@dataclass
class Coverage:
    """What has been taken so far."""

    prototypes: Counter[str] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)
    systems: Counter[str] = field(default_factory=Counter)
    formulas: Counter[str] = field(default_factory=Counter)

    def take(self, decoration: Decoration) -> None:
        """Count it."""
        self.prototypes[decoration.prototype.key] += 1
        self.elements.update(set(decoration.elements))
        self.systems[chemical_system_of(decoration.elements)] += 1
        self.formulas[reduced_formula_of(decoration.amounts)] += 1

    def loss(self, decoration: Decoration) -> float:
        """How much less it would add than if it were the first of its kind; it only ever grows."""
        elements = set(decoration.elements)
        often = sum(math.log1p(self.elements[symbol]) for symbol in sorted(elements)) / len(elements)
        return (
            _PER_PROTOTYPE * math.log1p(self.prototypes[decoration.prototype.key])
            + _PER_ELEMENT * often
            + _PER_SYSTEM * math.log1p(self.systems[chemical_system_of(decoration.elements)])
            + _PER_FORMULA * self.formulas[reduced_formula_of(decoration.amounts)]
            + _FOR_RADIOACTIVE * len(elements & _RADIOACTIVE)
        )


def ranked(substitutions: Sequence[Substitution], coverage: Coverage) -> Iterator[Substitution]:
    """The best first, kinds in turn, until there are none; the caller counts in `coverage` what it takes.

    Ionic compounds that SMACT cannot balance are left out.
    """
    kinds = {kind: _Kind(kind, substitutions, coverage) for kind in SHARES}
    while any(kinds.values()):
        for kind, share in SHARES.items():
            for _ in range(share):
                one = kinds[kind].best()
                if one is not None:
                    yield one


class _Kind:
    """The compounds of one kind that are left. Losses only grow, so a stale one is never too low."""

    def __init__(
        self, kind: tuple[bool, int], substitutions: Sequence[Substitution], coverage: Coverage
    ) -> None:
        self._ionic, size = kind
        self._coverage = coverage
        self._heap = [
            (-one.log_likelihood, one.decoration.name, one)
            for one in substitutions
            if (one.ions is not None) == self._ionic and len(one.decoration.elements) == size
        ]
        heapq.heapify(self._heap)

    def __bool__(self) -> bool:
        return bool(self._heap)

    def best(self) -> Substitution | None:
        """The one that adds most now; None when there is none left."""
        while self._heap:
            _, name, one = heapq.heappop(self._heap)
            now = self._coverage.loss(one.decoration) - one.log_likelihood
            if self._heap and now > self._heap[0][0] + 1e-12:
                heapq.heappush(self._heap, (now, name, one))
            elif not self._ionic or balances(one.decoration):
                return one
        return None
