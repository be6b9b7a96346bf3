"""Which elements of a reference are replaced, and by which, so that a target's limits hold.

Atoms of one element share a role. Every role has one element before and after, and no two have the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from random import Random

from crystalmesh_common.crystal.composition import Composition
from crystalmesh_common.crystal.composition_limits import CompositionLimits
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.runtime.errors import NoSubstitutionError
from crystalmesh_generation.substitution.elements import ElementTable, plausibility

Substitutions = tuple[tuple[int, int], ...]
"""(element of the reference, element of the new crystal), by ascending first."""

ANOTHER_SHARE = 0.1
"""How often one replacement more is made than limits ask for, and then another one more."""
_KEPT_PLACEMENTS = 256

_Options = tuple[Sequence[tuple[int, int]], Sequence[float]]


@dataclass(frozen=True)
class _Placement:
    """Elements that must be there, each in a role."""

    log_weight: float
    elements: tuple[int, ...]  # by role; 0 where it is open


class Choices:
    """All ways to replace elements of one reference within limits.

    Raises NoSubstitutionError where there is none, apart from what chance or an empty table may rule out.
    """

    def __init__(self, composition: Composition, limits: CompositionLimits, table: ElementTable) -> None:
        self._roles = tuple(number for number, _ in composition)
        self._counts = tuple(count for _, count in composition)
        self._limits = limits
        self._table = table
        self._known_options: dict[tuple[tuple[int, ...], frozenset[int], float], _Options] = {}
        _check_fit(composition, limits)
        self._placements = self._placed()

    @property
    def log_plausibility(self) -> float:
        """The natural logarithm of how plausible the demanded elements are in their likeliest places."""
        return self._placements[0].log_weight

    @property
    def are_given(self) -> bool:
        """Whether the limits name the element of every role, so that nothing is left to chance."""
        return self._limits.allowed is not None and self._limits.allowed == self._limits.required

    def likeliest(self) -> Iterator[Substitutions]:
        """Where the choices are given: every way, the likeliest first."""
        for placement in self._placements:
            if found := self._substitutions(placement.elements):
                yield found

    def draw(self, random: Random, sharpness: float) -> Substitutions:
        """One way by chance; empty where this draw came to nothing, which another need not.

        Chance goes by probabilities to the power of `sharpness`: with a high one the likeliest prevail.
        """
        best = self._placements[0].log_weight
        weights = [math.exp(sharpness * (each.log_weight - best)) for each in self._placements]
        placed = list(random.choices(self._placements, weights)[0].elements)
        while (role := self._forced(placed)) is not None:
            if not self._replace([role], placed, random, sharpness):
                return ()
        if not self._substitutions(placed) and not self._replace(
            self._free(placed), placed, random, sharpness
        ):
            return ()
        while self._free(placed) and random.random() < ANOTHER_SHARE:
            if not self._replace(self._free(placed), placed, random, sharpness):
                break
        return self._substitutions(placed)

    def _placed(self) -> list[_Placement]:
        """Places for the required elements, the likeliest first: the best of them, found one by one."""
        counts = self._demanded_counts()
        found = [_Placement(0.0, (0,) * len(self._roles))]
        for element in sorted(self._limits.required):
            further = [
                _Placement(
                    placement.log_weight + math.log(plausibility(self._table, role, element)),
                    (*placement.elements[:position], element, *placement.elements[position + 1 :]),
                )
                for placement in found
                for position, role in enumerate(self._roles)
                if not placement.elements[position]
                and counts.get(element, self._counts[position]) == self._counts[position]
            ]
            further.sort(key=lambda placement: -placement.log_weight)
            found = further[:_KEPT_PLACEMENTS]
        return found

    def _demanded_counts(self) -> dict[int, int]:
        """How many atoms the formula gives each element in a cell as large as the reference's."""
        if self._limits.formula is None:
            return {}
        units = sum(self._counts) // sum(count for _, count in self._limits.formula)
        return {number: count * units for number, count in self._limits.formula}

    @cached_property
    def _replacements(self) -> Sequence[Sequence[tuple[int, float]]]:
        """For every role what may take its element's place unasked, and how likely each is."""
        admitted = sorted(self._limits.elements)
        return [
            [
                (number, probability)
                for number in admitted
                if number != role and (probability := self._table.probability(role, number)) > 0
            ]
            for role in self._roles
        ]

    def _free(self, placed: Sequence[int]) -> list[int]:
        return [position for position, element in enumerate(placed) if not element]

    def _forced(self, placed: Sequence[int]) -> int | None:
        """An open role that cannot keep its element."""
        for position in self._free(placed):
            own = self._roles[position]
            if own in placed or not self._limits.admits_element(own):
                return position
        return None

    def _replace(self, positions: Sequence[int], placed: list[int], random: Random, sharpness: float) -> bool:
        """Put a new element in one of some open roles; False where there is none."""
        taken = frozenset(element or role for element, role in zip(placed, self._roles, strict=True))
        options, cumulative = self._options(tuple(positions), taken, sharpness)
        if not options:
            return False
        position, number = random.choices(options, cum_weights=cumulative)[0]
        placed[position] = number
        return True

    def _options(self, positions: tuple[int, ...], taken: frozenset[int], sharpness: float) -> _Options:
        """(position, new element) for each way, and weights that add up; made once, asked for often."""
        key = (positions, taken, sharpness)
        if key not in self._known_options:
            weighted = [
                ((position, number), probability**sharpness)
                for position in positions
                for number, probability in self._replacements[position]
                if number not in taken
            ]
            cumulative = list(itertools.accumulate(weight for _, weight in weighted))
            self._known_options[key] = ([option for option, _ in weighted], cumulative)
        return self._known_options[key]

    def _substitutions(self, placed: Sequence[int]) -> Substitutions:
        pairs = zip(self._roles, placed, strict=True)
        return tuple((role, element) for role, element in pairs if element not in (0, role))


def _check_fit(composition: Composition, limits: CompositionLimits) -> None:
    """Raise NoSubstitutionError where the reference has the wrong size or number of elements."""
    atoms = sum(count for _, count in composition)
    if not limits.min_atoms <= atoms <= limits.max_atoms:
        raise NoSubstitutionError(
            f"the reference has {atoms} atoms, and {limits.min_atoms} to {limits.max_atoms} are asked for"
        )
    if limits.formula is not None and stoichiometry(composition) != stoichiometry(limits.formula):
        raise NoSubstitutionError(
            f"the elements of the reference stand {_ratio_text(composition)}, those of the formula "
            f"{_ratio_text(limits.formula)}; replacing elements keeps the ratio"
        )
    roles = len(composition)
    if len(limits.required) > roles:
        symbols = ", ".join(symbol_of(number) for number in sorted(limits.required))
        raise NoSubstitutionError(f"the reference has {roles} elements, and all of {symbols} are required")
    if limits.allowed is not None and len(limits.allowed) < roles:
        raise NoSubstitutionError(
            f"the reference has {roles} elements, and only {len(limits.allowed)} are allowed"
        )


def stoichiometry(composition: Composition) -> tuple[int, ...]:
    """The ratio of a composition without its elements, ascending: (1, 2) for TiO2."""
    factor = gcd(*(count for _, count in composition))
    return tuple(sorted(count // factor for _, count in composition))


def _ratio_text(composition: Composition) -> str:
    return ":".join(map(str, stoichiometry(composition)))
