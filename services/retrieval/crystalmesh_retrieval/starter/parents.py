"""Compounds to start from: prototypes and well-known compounds, as ions and as metals."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from crystalmesh_retrieval.starter.decoration import Decoration, decoration_of
from crystalmesh_retrieval.starter.prototypes import prototypes
from crystalmesh_retrieval.starter.species import Ion, ions
from crystalmesh_retrieval.starter.well_known import COMPETING_METALS, COMPOUNDS, GROUND_STATES, NONMETALS

_METALLIC_ANIONS = frozenset(("H", "B", "C", "N", "Si", "P", "Ge", "As", "Sb", "Bi", "S", "Se", "Te"))
"""Compounds of these may also be seen as metals."""


@dataclass(frozen=True, eq=False)
class Parent:
    """A compound whose elements are substituted, with charges where it is seen as ions."""

    decoration: Decoration
    charges: tuple[int, ...] | None  # of its elements, in order; None: seen as a metal

    @property
    def ions(self) -> tuple[Ion, ...]:
        return tuple(Ion(*pair) for pair in zip(self.decoration.elements, self.charges or (), strict=True))


def elements() -> Iterator[Decoration]:
    """The elements in their ground states, then metals in the structures that compete with them."""
    known = prototypes()
    for key, symbols in GROUND_STATES.items():
        yield from (Decoration(known[key], (symbol,)) for symbol in symbols)
    everything = [symbol for symbols in GROUND_STATES.values() for symbol in symbols]
    for key in COMPETING_METALS:
        for symbol in dict.fromkeys(everything):
            if symbol not in NONMETALS and symbol not in GROUND_STATES.get(key, ()):
                yield Decoration(known[key], (symbol,))


def well_known() -> Iterator[Decoration]:
    """The compounds of the list, in its order; raises ValueError for one that does not fit its prototype."""
    known = prototypes()
    for key, formulas in COMPOUNDS.items():
        yield from (decoration_of(known[key], formula) for formula in formulas)


def parents(max_atoms: int) -> Iterator[Parent]:
    """Every compound to start from whose prototype has at most so many atoms in its primitive cell.

    One that may be seen both as ions and as a metal comes twice.
    """
    own = (Decoration(prototype, prototype.elements) for prototype in prototypes().values())
    for decoration in [*own, *well_known()]:
        if len(decoration.prototype.structure) > max_atoms or not 2 <= len(set(decoration.elements)) <= 4:
            continue
        if len(set(decoration.elements)) < len(decoration.elements):
            continue
        charges = charges_of(tuple(decoration.amounts.items()))
        if charges is not None:
            yield Parent(decoration, charges)
        if charges is None or _is_nearly_metal(decoration, charges):
            yield Parent(decoration, None)


@lru_cache(maxsize=4096)
def charges_of(amounts: tuple[tuple[str, int], ...]) -> tuple[int, ...] | None:
    """The likeliest whole charges of a compound's elements that add up to nothing; None without any."""
    from pymatgen.core.composition import Composition  # noqa: PLC0415 -- half a second

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # elements without known charges
        guesses: tuple[Mapping[str, float], ...] = Composition(dict(amounts)).oxi_state_guesses()
    known = set(ions())
    for guess in guesses:
        pairs = [(symbol, guess[symbol]) for symbol, _ in amounts]
        if all(charge == round(charge) and Ion(symbol, round(charge)) in known for symbol, charge in pairs):
            return tuple(round(charge) for _, charge in pairs)
    return None


def _is_nearly_metal(decoration: Decoration, charges: tuple[int, ...]) -> bool:
    anions = {symbol for symbol, charge in zip(decoration.elements, charges, strict=True) if charge < 0}
    return anions <= _METALLIC_ANIONS
