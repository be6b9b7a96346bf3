"""Whether a composition balances as the one that it was made from does."""

from __future__ import annotations

from functools import lru_cache

from crystalmesh_common.crystal.composition import Composition, reduced_composition
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.generative_validity import is_compositionally_valid
from crystalmesh_common.crystal.structure import Crystal


def keeps_balance(crystal: Crystal, reference: Crystal) -> bool:
    """Whether a crystal is as balanced as its reference.

    A reference that oxidation states seen in crystals balance asks for the same; so an ionic compound does
    not become an alloy, which counts as valid by the rules of papers. One that is only valid by those rules
    (`is_compositionally_valid`) asks for that, and one that is not asks for nothing.
    """
    if is_compositionally_valid(reference) and not is_compositionally_valid(crystal):
        return False
    return _is_neutral(reduced_composition(crystal)) or not _is_neutral(reduced_composition(reference))


@lru_cache(maxsize=65_536)
def _is_neutral(composition: Composition) -> bool:
    """Whether one oxidation state per element, each of some crystal, sums to no charge."""
    charges = {0}
    for number, count in composition:
        charges = {charge + state * count for charge in charges for state in _oxidation_states(number)}
    return 0 in charges


@lru_cache(maxsize=256)
def _oxidation_states(number: int) -> tuple[int, ...]:
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- half a second

    element = Element(symbol_of(number))
    return tuple(element.icsd_oxidation_states or element.common_oxidation_states)
