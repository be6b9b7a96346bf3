"""Validity as papers on generative models report it: structural and compositional.

The definitions are those of CDVAE (Xie et al., ICLR 2022), which later work took over, so that rates
compare with published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from crystalmesh_common.crystal.composition import Composition, reduced_composition
from crystalmesh_common.crystal.distances import shortest_distance
from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER, symbol_of
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidCrystalError

MIN_DISTANCE_ANGSTROM = 0.5
MIN_VOLUME_CUBIC_ANGSTROM = 0.1


@dataclass(frozen=True)
class Validity:
    """Whether a crystal counts as valid, and what speaks against it in words."""

    structural: bool
    compositional: bool
    reasons: tuple[str, ...]
    shortest_distance_angstrom: float  # 0 where it cannot be computed

    @property
    def valid(self) -> bool:
        return self.structural and self.compositional


def validity_of(crystal: Crystal) -> Validity:
    """Structural and compositional validity of any crystal, even one that `check_crystal` refuses."""
    against_structure, distance = _against_structure(crystal)
    against_composition = _against_composition(crystal)
    return Validity(
        structural=against_structure is None,
        compositional=against_composition is None,
        reasons=tuple(reason for reason in (against_structure, against_composition) if reason),
        shortest_distance_angstrom=distance,
    )


def is_structurally_valid(crystal: Crystal) -> bool:
    """Every two atoms more than 0.5 Å apart, and more than 0.1 Å³ of volume.

    An atom's own images count as atoms, which CDVAE's own code leaves out; it matters for cells thinner
    than 0.5 Å only.
    """
    against, _ = _against_structure(crystal)
    return against is None


def is_compositionally_valid(crystal: Crystal) -> bool:
    """SMACT's rule with its 2014 oxidation states, as CDVAE uses it.

    Valid are elements, compounds of metals only, and compositions for which one oxidation state per
    element balances the charge with every cation less electronegative than every anion. Equal to
    `smact.screening.smact_validity(…, oxidation_states_set="smact14")`, which enumerates all combinations
    of states: as fast for three elements, without end for twelve.
    """
    return _against_composition(crystal) is None


def _against_structure(crystal: Crystal) -> tuple[str | None, float]:
    """What speaks against it, and the shortest distance."""
    if len(crystal) == 0:
        return "there are no atoms", 0.0
    if not (np.isfinite(crystal.cell).all() and np.isfinite(crystal.frac_coords).all()):
        return "the cell or the coordinates are not finite numbers", 0.0
    volume, flat = crystal.volume, None
    if not volume > MIN_VOLUME_CUBIC_ANGSTROM:
        flat = f"the volume is {volume:.3g} Å³"
    try:
        distance = shortest_distance(crystal)
    except InvalidCrystalError as error:
        return flat or error.message, 0.0
    if flat is None and not distance > MIN_DISTANCE_ANGSTROM:
        return f"two atoms are {distance:.3g} Å apart", distance
    return flat, distance


def _against_composition(crystal: Crystal) -> str | None:
    if len(crystal) == 0:
        return "there are no atoms"
    if crystal.numbers.min() < 1 or crystal.numbers.max() > MAX_ATOMIC_NUMBER:
        return "an atomic number is no element"
    return _against(reduced_composition(crystal))


@dataclass(frozen=True)
class _ElementRules:
    oxidation_states: tuple[int, ...]
    electronegativity: float | None
    is_metal: bool


@lru_cache(maxsize=65_536)
def _against(composition: Composition) -> str | None:
    rules = [_rules(number) for number, _ in composition]
    if len(composition) == 1 or all(rule.is_metal for rule in rules):
        return None
    for (number, _), rule in zip(composition, rules, strict=True):
        if not rule.oxidation_states:
            return f"no oxidation state of {symbol_of(number)} is known"
        if rule.electronegativity is None:
            return f"the electronegativity of {symbol_of(number)} is not known"
    counts = [count for _, count in composition]
    if not _balances(rules, counts):
        return "no oxidation states balance the charge with anions more electronegative than cations"
    return None


def _balances(rules: list[_ElementRules], counts: list[int]) -> bool:
    """Whether one state per element sums to zero charge with all cations below all anions.

    Elements up to some electronegativity may be cations, those above it anions, zero is open to all.
    For each such cut the reachable charges are a set that grows element by element, so time is cuts ×
    elements × charges and not the product of all states.
    """
    cuts = {rule.electronegativity for rule in rules}
    for cut in cuts:
        charges = {0}
        for rule, count in zip(rules, counts, strict=True):
            # Same electronegativity, same side: a cation must be strictly below an anion.
            sign = 1 if (rule.electronegativity or 0.0) <= (cut or 0.0) else -1
            allowed = {state * count for state in rule.oxidation_states if state * sign >= 0}
            charges = {charge + step for charge in charges for step in allowed}
        if 0 in charges:
            return True
    return False


@lru_cache(maxsize=MAX_ATOMIC_NUMBER)
def _rules(atomic_number: int) -> _ElementRules:
    import smact  # noqa: PLC0415 -- a third of a second

    symbol = symbol_of(atomic_number)
    if symbol not in smact.ordered_elements(1, 103):  # SMACT ends at lawrencium
        return _ElementRules((), None, is_metal=False)
    element = smact.Element(symbol)
    return _ElementRules(
        oxidation_states=tuple(element.oxidation_states_smact14 or ()),
        electronegativity=element.pauling_eneg,
        is_metal=symbol in smact.metals,
    )
