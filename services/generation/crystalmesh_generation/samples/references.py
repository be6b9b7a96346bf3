"""References for prompts that bring none, drawn at random; those that fit the target come more often."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd
from random import Random

import numpy as np

from crystalmesh_common.crystal.composition import Composition, composition_of, reduced_composition
from crystalmesh_common.runtime.errors import CrystalError, WrongStateError
from crystalmesh_generation.limits import CompositionLimits
from crystalmesh_generation.samples.asked import KnownMaterial, known_material
from crystalmesh_generation.samples.materials import Material
from crystalmesh_generation.substitution.choosing import Choices, NoSubstitutionError
from crystalmesh_generation.substitution.elements import ElementTable

_KEPT_POOLS = 1024
_LIKELIEST = 64


@dataclass(frozen=True)
class _Pool:
    """Positions of materials to draw from, and their weights."""

    positions: Sequence[int]
    weights: Sequence[float]


class References:
    """Draws from materials. For one thread."""

    def __init__(self, materials: Sequence[Material], table: ElementTable) -> None:
        self._materials = materials
        self._table = table
        self._compositions = [composition_of(material.crystal) for material in materials]
        self._known: dict[int, KnownMaterial] = {}
        self._pools: dict[CompositionLimits, _Pool] = {}
        self.formulas: frozenset[Composition] = frozenset(
            reduced_composition(material.crystal) for material in materials
        )
        """The reduced compositions of all materials."""

    def draws(self, limits: CompositionLimits, seed: int) -> Iterator[KnownMaterial]:
        """Materials without end, the same for the same seed; each has at most the atoms of the limits.

        Where the limits name a formula, elements in its ratio; where they name elements only, as many of
        them; of others any, unless none is like that. Those in which the named elements are likeliest to
        take a place come more often. Raises WrongStateError where nothing is small enough.
        """
        pool = self._pool(limits)
        if not pool.positions:
            raise WrongStateError(
                "the server holds no material to start from that is small enough; bring a reference, or "
                "ask for MISSING_REFERENCE_OMIT"
            )
        random = Random(seed)  # noqa: S311 -- chemistry, not secrets
        while True:
            [position] = random.choices(pool.positions, pool.weights)
            try:
                yield self._at(position)
            except CrystalError:  # its standard setting cannot be found; the check before told as much
                continue

    def _at(self, position: int) -> KnownMaterial:
        if position not in self._known:
            material = self._materials[position]
            self._known[position] = known_material(material.crystal, material.properties)
        return self._known[position]

    def _pool(self, limits: CompositionLimits) -> _Pool:
        if limits not in self._pools:
            if len(self._pools) >= _KEPT_POOLS:
                self._pools.clear()
            self._pools[limits] = self._likely(self._fitting(limits), limits)
        return self._pools[limits]

    def _likely(self, positions: Sequence[int], limits: CompositionLimits) -> _Pool:
        """The materials in which the required elements are likeliest; all alike where none are required."""
        if not limits.required:
            return _Pool(positions, [1.0] * len(positions))
        plausible = {position: self._log_plausibility(position, limits) for position in positions}
        best = heapq.nlargest(_LIKELIEST, positions, key=plausible.__getitem__)
        highest = max((plausible[position] for position in best), default=0.0)
        if highest == -math.inf:  # substitution is at a loss with all of them, and a model may not be
            return _Pool(positions, [1.0] * len(positions))
        return _Pool(best, [math.exp(plausible[position] - highest) for position in best])

    def _log_plausibility(self, position: int, limits: CompositionLimits) -> float:
        try:
            return Choices(self._compositions[position], limits, self._table).log_plausibility
        except NoSubstitutionError:
            return -math.inf

    def _fitting(self, limits: CompositionLimits) -> Sequence[int]:
        sizes = np.array([sum(count for _, count in each) for each in self._compositions], dtype=np.int64)
        small = np.flatnonzero(sizes <= limits.max_atoms).tolist()
        if limits.formula is not None:
            ratio = _ratio(limits.formula)
            alike = [n for n in small if _ratio(self._compositions[n]) == ratio]
        else:
            least = len(limits.required)
            most = len(limits.allowed) if limits.allowed is not None else None
            alike = [
                n
                for n in small
                if sizes[n] >= limits.min_atoms
                and least <= len(self._compositions[n])
                and (most is None or len(self._compositions[n]) <= most)
            ]
        return alike or small


def _ratio(composition: Composition) -> tuple[int, ...]:
    counts = [count for _, count in composition]
    factor = gcd(*counts)
    return tuple(sorted(count // factor for count in counts))
