"""New crystals by replacing elements of a known one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from crystalmesh_common.crystal.composition import Composition, composition_of
from crystalmesh_common.crystal.composition_limits import CompositionLimits
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.matching import same_structure
from crystalmesh_common.crystal.structure import Crystal, IntArray
from crystalmesh_common.runtime.errors import NoSubstitutionError
from crystalmesh_generation.substitution.balance import keeps_balance
from crystalmesh_generation.substitution.choosing import Choices, Substitutions
from crystalmesh_generation.substitution.elements import ElementTable

SHARPNESSES = (2.0, 1.0, 0.5)
"""What chance begins with, and where it goes when nothing more is found."""
_DRAWS_IN_VAIN = 200
_UNCHANGED_PERCENT = 0.5


@dataclass(frozen=True, eq=False)
class Substituted:
    """A crystal that was made from a reference."""

    crystal: Crystal  # without id; atoms in the order of the reference's
    substitutions: Substitutions
    probability: float  # of all substitutions together, by the table
    seed: int  # of the draw, 0 to 2^64 - 1; follows from the one that `propose` was given


def propose(
    reference: Crystal, limits: CompositionLimits, table: ElementTable, *, seed: int, count: int
) -> list[Substituted]:
    """At most `count` different crystals within the limits, fewer where there are no more, at least one.

    Elements are drawn by the table's probabilities, likely ones before unlikely ones. Where the limits name
    all elements, the likeliest assignment of them to the reference's roles comes first, whatever the seed.
    Where the reference is charge balanced, so are all proposals, unless none is (`keeps_balance`). None is
    the reference itself.

    Raises NoSubstitutionError where no replacement of elements keeps the limits.
    """
    choices = Choices(composition_of(reference), limits, table)
    found: list[Substituted] = []
    unbalanced: list[Substituted] = []
    seen = _Seen(reference)
    for substitutions, own_seed in _ways(choices, seed, found):
        if substitutions and seen.is_new(one := _substituted(reference, substitutions, table, own_seed)):
            (found if keeps_balance(one.crystal, reference) else unbalanced).append(one)
        if len(found) == count:
            break
    proposed = found or unbalanced[:count]
    if not proposed:
        raise NoSubstitutionError("no replacement of its elements makes of the reference what is asked for")
    return proposed


def substitute(reference: Crystal, substitutions: Substitutions, table: ElementTable) -> Crystal:
    """The reference with other elements, its cell scaled by the volumes that their atoms take.

    All replacements happen at once, so two elements may change places. Neither id nor magnetic moments are
    kept.
    """
    numbers = np.array(reference.numbers, dtype=np.int64)
    for before, after in substitutions:
        numbers[reference.numbers == before] = after
    growth = _volume(numbers, table) / _volume(reference.numbers, table)
    return Crystal(reference.cell * math.cbrt(growth), numbers, reference.frac_coords.copy())


def transition_text(substituted: Substituted, reference: Crystal) -> str:
    """The way from the reference in words: "Na becomes K, Cl becomes Br; the cell grows by 12 %"."""
    pairs = substituted.substitutions
    elements = ", ".join(f"{symbol_of(before)} becomes {symbol_of(after)}" for before, after in pairs)
    percent = 100 * (substituted.crystal.volume / reference.volume - 1)
    if abs(percent) < _UNCHANGED_PERCENT:
        return f"{elements}; the cell keeps its volume"
    change = "grows" if percent > 0 else "shrinks"
    return f"{elements}; the cell {change} by {abs(percent):.0f} %"


class _Seen:
    """What was proposed before, and the reference; only those of one composition can be the same."""

    def __init__(self, reference: Crystal) -> None:
        self._substitutions: set[Substitutions] = set()
        self._crystals: dict[Composition, list[Crystal]] = {composition_of(reference): [reference]}

    def is_new(self, one: Substituted) -> bool:
        """Whether nothing like it was seen; from now on it was."""
        if one.substitutions in self._substitutions:
            return False
        self._substitutions.add(one.substitutions)
        alike = self._crystals.setdefault(composition_of(one.crystal), [])
        if any(same_structure(known, one.crystal) for known in alike):
            return False
        alike.append(one.crystal)
        return True


def _ways(choices: Choices, seed: int, found: Sequence[Substituted]) -> Iterator[tuple[Substitutions, int]]:
    """Ways to replace elements with their seeds, some drawn in vain (empty), until `found` grows no more."""
    seeds = _seeds(seed)
    if choices.are_given:
        yield from zip(choices.likeliest(), seeds, strict=False)
        return
    for sharpness in SHARPNESSES:
        in_vain = 0
        while in_vain < _DRAWS_IN_VAIN:
            before, own_seed = len(found), next(seeds)
            yield choices.draw(Random(own_seed), sharpness), own_seed  # noqa: S311 -- chemistry, not secrets
            in_vain = 0 if len(found) > before else in_vain + 1


def _seeds(seed: int) -> Iterator[int]:
    """The seed itself, then others that follow from it (SplitMix64 of Steele et al., OOPSLA 2014)."""
    yield seed
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
        yield mixed ^ mixed >> 31


def _substituted(
    reference: Crystal, substitutions: Substitutions, table: ElementTable, seed: int
) -> Substituted:
    probability = math.prod(table.probability(before, after) for before, after in substitutions)
    return Substituted(substitute(reference, substitutions, table), substitutions, probability, seed)


def _volume(numbers: IntArray, table: ElementTable) -> float:
    return sum(table.volume_of(number) for number in numbers.tolist())
