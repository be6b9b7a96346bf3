"""What a crystal is made of: formulas, chemical system, density."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from math import gcd

import numpy as np

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, SYMBOLS, symbol_of
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import InvalidFieldError

Composition = tuple[tuple[int, int], ...]
"""(atomic number, count) of each element, by ascending atomic number."""

_GRAMS_PER_CUBIC_CENTIMETER = 1.66053906892
"""One unified atomic mass unit per Å³ (CODATA 2022)."""

_MAX_FORMULA_CHARACTERS = 200


def composition_of(crystal: Crystal) -> Composition:
    """How many atoms of each element the cell holds."""
    numbers, counts = np.unique(crystal.numbers, return_counts=True)
    return tuple(zip(numbers.tolist(), counts.tolist(), strict=True))


def reduced_composition(crystal: Crystal) -> Composition:
    """The composition without the common factor of its counts: the same for cell and supercell."""
    composition = composition_of(crystal)
    factor = gcd(*(count for _, count in composition))
    return tuple((number, count // factor) for number, count in composition)


def reduced_formula(crystal: Crystal) -> str:
    """The formula as pymatgen prints it: "LiFePO4", and "O2" for oxygen and its kind."""
    return _formulas(composition_of(crystal))[0]


def reduced_formula_of(amounts: Mapping[str, float]) -> str:
    """The same for amounts by symbol, which need not be whole numbers."""
    return _formula_of(tuple(sorted(amounts.items())))


def reduced_formula_of_text(formula: str) -> str:
    """The same for a formula that somebody wrote: "LiFePO4" for "PO4FeLi" or "Li2 Fe2 (P O4)2".

    Raises `InvalidFieldError` for text that is none.
    """
    from pymatgen.core.composition import Composition as NamedComposition  # noqa: PLC0415 -- half a second

    amounts: Mapping[str, float] = {}
    if len(formula) <= _MAX_FORMULA_CHARACTERS:
        with suppress(ValueError, KeyError, TypeError):
            amounts = NamedComposition(formula, strict=True).get_el_amt_dict()
    if not amounts or not set(amounts) <= set(ATOMIC_NUMBERS):
        raise InvalidFieldError(f"{formula[:80]!r} is no chemical formula", field="formula")
    return reduced_formula_of(amounts)


def anonymous_formula(crystal: Crystal) -> str:
    """The formula with letters for elements in order of their share, as pymatgen prints it: "AB2C4"."""
    return _formulas(composition_of(crystal))[1]


def chemical_system(crystal: Crystal) -> str:
    """The symbols of the elements in alphabetical order, joined by hyphens: "Fe-Li-O-P"."""
    return "-".join(sorted(symbol_of(number) for number, _ in composition_of(crystal)))


def density_g_per_cubic_centimeter(crystal: Crystal) -> float:
    """Mass density with the natural isotopes."""
    mass = float(_atomic_masses()[crystal.numbers - 1].sum())
    return mass * _GRAMS_PER_CUBIC_CENTIMETER / crystal.volume


# Generated sets repeat few compositions many times, and pymatgen takes 50 µs for one.
@lru_cache(maxsize=65_536)
def _formulas(composition: Composition) -> tuple[str, str]:
    from pymatgen.core.composition import Composition as NamedComposition  # noqa: PLC0415 -- half a second

    _meet_every_electronegativity()
    named = NamedComposition({symbol_of(number): count for number, count in composition})
    return str(named.reduced_formula), str(named.anonymized_formula)


@lru_cache(maxsize=65_536)
def _formula_of(amounts: tuple[tuple[str, float], ...]) -> str:
    from pymatgen.core.composition import Composition as NamedComposition  # noqa: PLC0415 -- half a second

    _meet_every_electronegativity()
    return str(NamedComposition(dict(amounts)).reduced_formula)


@lru_cache(maxsize=1)
def _meet_every_electronegativity() -> None:
    """Have pymatgen warn here, once, about elements without one (He, Ne, Ar and from Rf on)."""
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    # Filters are global to the process, so this must not happen per call, where threads would meet.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for symbol in SYMBOLS:
            _ = Element(symbol).X  # cached by pymatgen, with its warning


@lru_cache(maxsize=1)
def _atomic_masses() -> FloatArray:
    """Masses in unified atomic mass units, (118,)."""
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    return np.array([float(Element(symbol).atomic_mass) for symbol in SYMBOLS])
