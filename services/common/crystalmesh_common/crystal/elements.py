"""The periodic table as far as reading and writing needs it: symbols and atomic numbers."""

from __future__ import annotations

from collections.abc import Mapping

SYMBOLS: tuple[str, ...] = tuple(
    """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu
    Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
    Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
    """.split()  # noqa: SIM905 -- a table of 118 quoted strings reads worse
)
"""Element symbols in order; the symbol of atomic number z is `SYMBOLS[z - 1]`."""

MAX_ATOMIC_NUMBER = len(SYMBOLS)

# Deuterium has a symbol of its own and is hydrogen to every model here. Tritium has one too, but a T in a
# CIF is a tetrahedral site of a zeolite.
ATOMIC_NUMBERS: Mapping[str, int] = {
    **{symbol: z for z, symbol in enumerate(SYMBOLS, start=1)},
    "D": 1,
}
"""Atomic number by symbol, exact case."""


def symbol_of(atomic_number: int) -> str:
    """The symbol of an atomic number, "X" for a number that is no element."""
    if 1 <= atomic_number <= MAX_ATOMIC_NUMBER:
        return SYMBOLS[atomic_number - 1]
    return "X"
