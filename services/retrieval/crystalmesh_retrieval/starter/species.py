"""How likely one element takes another's place, as ions and as metals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

ATOMIC_NUMBERS: tuple[int, ...] = tuple(z for z in range(1, 95) if not 84 <= z <= 88)
"""What CHGNet 0.3.0 was trained on."""

_NOBLE = frozenset(["He", "Ne", "Ar", "Kr", "Xe"])
_UNCOMMON = math.log(0.3)
"""For a charge that the element seldom has."""
_NOT_MINED = math.log(0.3)
"""For an ion that the mined table lacks, beyond what its likeness costs."""
_ALSO_UNLIKE = 0.4
_MORE_ANIONS = (
    ("C", -4),
    ("Si", -4),
    ("Ge", -4),
    ("P", -3),
    ("As", -3),
    ("Sb", -3),
    ("Bi", -3),
    ("Te", -2),
    ("H", -1),
)
_NO_IONS = frozenset({"H", "N", "C", "P", "S", "Se", "Te", "Cl", "Br", "I", "As", "Sb", "Xe", "Kr"})
"""Their rare positive charges lead nowhere in small cells; those below do."""
_OXYANIONS = frozenset(
    {
        ("C", 4),
        ("N", 5),
        ("P", 5),
        ("S", 6),
        ("Se", 4),
        ("Se", 6),
        ("Te", 4),
        ("Te", 6),
        ("Cl", 7),
        ("I", 5),
        ("I", 7),
        ("H", 1),
    }
    | {("As", 3), ("As", 5), ("Sb", 3), ("Sb", 5)}
)


class Ion(NamedTuple):
    """An element with its charge."""

    symbol: str
    charge: int

    def __str__(self) -> str:
        size = abs(self.charge)
        return f"{self.symbol}{size if size > 1 else ''}{'+' if self.charge > 0 else '-'}"


@lru_cache(maxsize=1)
def ions() -> tuple[Ion, ...]:
    """The ions that compounds are made of here, by atomic number and charge."""
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    mined = {Ion(species.element.symbol, round(species.oxi_state or 0)) for species in _mined().species}
    known = mined | {Ion(*pair) for pair in _MORE_ANIONS}
    usable = (
        ion
        for ion in known
        if Element(ion.symbol).Z in ATOMIC_NUMBERS
        and ion.symbol not in _NOBLE
        and (ion.charge < 0 or ion.symbol not in _NO_IONS or ion in _OXYANIONS)
    )
    return tuple(sorted(usable, key=lambda ion: (Element(ion.symbol).Z, ion.charge)))


@lru_cache(maxsize=4096)
def substitutes(ion: Ion, limit: int) -> Sequence[tuple[Ion, float]]:
    """The ions likeliest in its place, itself first, with the logarithm of how likely next to itself."""
    scored = [(other, log_likelihood(ion, other)) for other in ions()]
    return sorted(scored, key=lambda pair: -pair[1])[:limit]


def log_likelihood(there: Ion, instead: Ion) -> float:
    """How likely an ion is found in another's place, next to that one itself, which is 0.

    By the probabilities mined from known compounds (Hautier et al., Inorg. Chem. 50, 656, 2011); for ions
    that were not mined, by likeness among those of one charge. Of rare ions too little was mined to go by
    it alone, so likeness always counts a little. A cation never stands for an anion.
    """
    if there == instead:
        return 0.0
    rare = 0.0 if _is_common(instead) else _UNCOMMON
    if (there.charge > 0) != (instead.charge > 0):
        return -math.inf
    pair = _mined_log_likelihood(there, instead)
    unlike, charges = unlikeness(there.symbol, instead.symbol), abs(there.charge - instead.charge)
    if pair is None:
        return _NOT_MINED - charges - unlike + rare
    return min(pair, 0.0) - _ALSO_UNLIKE * (charges + unlike) + rare


@lru_cache(maxsize=1)
def _mined() -> SubstitutionProbability:
    from pymatgen.core.structure_prediction.substitution_probability import (  # noqa: PLC0415 -- heavy
        SubstitutionProbability,
    )

    return SubstitutionProbability()  # type: ignore[no-untyped-call]


def _mined_log_likelihood(there: Ion, instead: Ion) -> float | None:
    from pymatgen.core.periodic_table import Species  # noqa: PLC0415 -- half a second

    mined = _mined()
    first, second = Species(there.symbol, there.charge), Species(instead.symbol, instead.charge)
    if first not in mined.species or second not in mined.species:
        return None
    together = mined.get_lambda(first, second)  # type: ignore[no-untyped-call]
    alone = mined.get_lambda(first, first)  # type: ignore[no-untyped-call]
    return float(together - alone)


@lru_cache(maxsize=1024)
def _is_common(ion: Ion) -> bool:
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    return ion.charge in Element(ion.symbol).common_oxidation_states or ion in _MORE_ANIONS


@lru_cache(maxsize=16_384)
def unlikeness(first: str, second: str) -> float:
    """How far two elements are apart in size, electronegativity and Pettifor's order; 0 for one element."""
    a, b = _traits()[first], _traits()[second]
    return math.sqrt(
        ((a.mendeleev - b.mendeleev) / 8) ** 2
        + (math.log(a.radius / b.radius) / 0.12) ** 2
        + ((a.electronegativity - b.electronegativity) / 0.35) ** 2
    )


class _Traits(NamedTuple):
    mendeleev: float
    radius: float  # Å
    electronegativity: float


@lru_cache(maxsize=1)
def _traits() -> Mapping[str, _Traits]:
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    found: dict[str, _Traits] = {}
    for number in ATOMIC_NUMBERS:
        element = Element.from_Z(number)
        if element.symbol not in _NOBLE:
            radius = (
                element.atomic_radius or element.atomic_radius_calculated or element.metallic_radius or 1.75
            )
            found[element.symbol] = _Traits(float(element.mendeleev_no), float(radius), float(element.X))
    return found
