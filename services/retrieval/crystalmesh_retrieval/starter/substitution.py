"""What compounds become when their elements are exchanged, and how likely that is."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, symbol_of
from crystalmesh_common.crystal.generative_validity import is_compositionally_valid
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.starter import species
from crystalmesh_retrieval.starter.decoration import Decoration
from crystalmesh_retrieval.starter.parents import Parent
from crystalmesh_retrieval.starter.species import Ion, substitutes, unlikeness

_NOT_IN_METALS = frozenset(["H", "He", "O", "F", "Ne", "Cl", "Ar", "Br", "Kr", "I", "Xe"])
_IONS_TRIED = {2: 60, 3: 20, 4: 9}
_METALS_TRIED = {2: 30, 3: 12, 4: 6}
"""By number of elements, how many substitutes of each."""
_LEAST_LIKELY = -9.0
_PER_UNLIKENESS = 1.2


@dataclass(frozen=True, eq=False)
class Substitution:
    """A compound made from another one."""

    decoration: Decoration
    parent: Parent
    ions: tuple[Ion, ...] | None  # None: as a metal
    log_likelihood: float  # next to the parent itself, which is 0

    @property
    def text(self) -> str:
        """Which elements took the place of which: "Na+ Cl- -> K+ Br-"."""
        before = self.parent.ions if self.ions else self.parent.decoration.elements
        after = self.ions or self.decoration.elements
        return f"{' '.join(map(str, before))} -> {' '.join(map(str, after))}"


def substitutions(parents: Iterable[Parent]) -> list[Substitution]:
    """Each compound once, by the likeliest way to it; the order is that of the parents."""
    best: dict[tuple[str, tuple[str, ...]], Substitution] = {}
    for parent in parents:
        found = _ionic(parent) if parent.charges is not None else _metallic(parent)
        for one in found:
            key = (one.decoration.prototype.key, one.decoration.elements)
            if key not in best or best[key].log_likelihood < one.log_likelihood:
                best[key] = one
    return list(best.values())


def balances(decoration: Decoration) -> bool:
    """Whether SMACT finds charges that add up to nothing, with cations less electronegative than anions."""
    numbers = [ATOMIC_NUMBERS[symbol] for symbol, count in decoration.amounts.items() for _ in range(count)]
    places = np.zeros((len(numbers), 3))
    return is_compositionally_valid(Crystal(np.eye(3), np.array(numbers, dtype=np.int64), places))


def _ionic(parent: Parent) -> Iterator[Substitution]:
    """Neutral ones in which cations stay cations."""
    counts = parent.decoration.prototype.counts
    tried = _IONS_TRIED[len(counts)]
    choices = [[o for o in substitutes(ion, tried) if o[1] >= _LEAST_LIKELY] for ion in parent.ions]
    for chosen in itertools.product(*choices):
        if sum(count * ion.charge for count, (ion, _) in zip(counts, chosen, strict=True)):
            continue
        likelihood = sum(pair[1] for pair in chosen)
        symbols = tuple(ion.symbol for ion, _ in chosen)
        if likelihood >= _LEAST_LIKELY and len(set(symbols)) == len(symbols):
            decoration = Decoration(parent.decoration.prototype, symbols)
            yield Substitution(decoration, parent, tuple(ion for ion, _ in chosen), likelihood)


def _metallic(parent: Parent) -> Iterator[Substitution]:
    """Those of elements that are alike."""
    symbols = parent.decoration.elements
    if any(symbol in _NOT_IN_METALS for symbol in symbols):
        return
    choices = [_alike(symbol, _METALS_TRIED[len(symbols)]) for symbol in symbols]
    for chosen in itertools.product(*choices):
        likelihood = sum(pair[1] for pair in chosen)
        elements = tuple(symbol for symbol, _ in chosen)
        if likelihood >= _LEAST_LIKELY and len(set(elements)) == len(elements):
            yield Substitution(Decoration(parent.decoration.prototype, elements), parent, None, likelihood)


def _alike(symbol: str, limit: int) -> Sequence[tuple[str, float]]:
    others = [symbol_of(number) for number in species.ATOMIC_NUMBERS]
    scored = [(o, -_PER_UNLIKENESS * unlikeness(symbol, o)) for o in others if o not in _NOT_IN_METALS]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:limit]
