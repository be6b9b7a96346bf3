"""References for prompts that bring none: drawn at random among the materials that fit the target best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd
from random import Random

import numpy as np

from crystalmesh_common.crystal.composition import Composition, composition_of, reduced_composition
from crystalmesh_common.runtime.errors import CrystalError, WrongStateError
from crystalmesh_generation.limits import CompositionLimits
from crystalmesh_generation.samples.asked import KnownMaterial, known_material
from crystalmesh_generation.samples.materials import Material

_KEPT_POOLS = 1024


class References:
    """Draws from materials. For one thread."""

    def __init__(self, materials: Sequence[Material]) -> None:
        self._materials = materials
        self._compositions = [composition_of(material.crystal) for material in materials]
        self._known: dict[int, KnownMaterial] = {}
        self._pools: dict[CompositionLimits, Sequence[int]] = {}
        self.formulas: frozenset[Composition] = frozenset(
            reduced_composition(material.crystal) for material in materials
        )
        """The reduced compositions of all materials."""

    def draws(self, limits: CompositionLimits, seed: int) -> Iterator[KnownMaterial]:
        """Materials without end, the same for the same seed; each has at most the atoms of the limits.

        Where the limits name a formula, elements in its ratio; where they name elements only, as many of
        them; of others any, unless none is like that. Raises WrongStateError where nothing is small enough.
        """
        pool = self._pool(limits)
        if not pool:
            raise WrongStateError(
                "the server holds no material to start from that is small enough; bring a reference, or "
                "ask for MISSING_REFERENCE_OMIT"
            )
        random = Random(seed)  # noqa: S311 -- chemistry, not secrets
        while True:
            position = pool[random.randrange(len(pool))]
            try:
                yield self._at(position)
            except CrystalError:  # its standard setting cannot be found; the check before told as much
                continue

    def _at(self, position: int) -> KnownMaterial:
        if position not in self._known:
            material = self._materials[position]
            self._known[position] = known_material(material.crystal, material.properties)
        return self._known[position]

    def _pool(self, limits: CompositionLimits) -> Sequence[int]:
        if limits not in self._pools:
            if len(self._pools) >= _KEPT_POOLS:
                self._pools.clear()
            self._pools[limits] = self._fitting(limits)
        return self._pools[limits]

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
