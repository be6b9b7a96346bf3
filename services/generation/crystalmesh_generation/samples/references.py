"""References for prompts that bring none, drawn at random; those that fit the target come more often."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crystalmesh_common.crystal.composition import Composition, composition_of, reduced_composition
from crystalmesh_common.crystal.composition_limits import CompositionLimits
from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_common.runtime.errors import CrystalError, NoSubstitutionError, WrongStateError
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.samples.asked import KnownMaterial, known_material
from crystalmesh_generation.samples.judging import has_symmetry
from crystalmesh_generation.samples.materials import Material
from crystalmesh_generation.substitution.choosing import Choices, stoichiometry
from crystalmesh_generation.substitution.elements import ElementTable

_KEPT_POOLS = 1024
_LIKELIEST = 64

_Wanted = tuple[CompositionLimits, int | None, str]
"""Limits, space group and crystal system."""


@dataclass(frozen=True)
class _Pool:
    """Positions of materials to draw from, and their weights."""

    positions: Sequence[int]
    log_weights: FloatArray


class References:
    """Draws from materials. For one thread."""

    def __init__(self, materials: Sequence[Material], table: ElementTable) -> None:
        self._materials = materials
        self._table = table
        self._compositions = [composition_of(material.crystal) for material in materials]
        self._ratios = [stoichiometry(composition) for composition in self._compositions]
        self._known: dict[int, KnownMaterial] = {}
        self._pools: dict[_Wanted, _Pool] = {}
        self.formulas: frozenset[Composition] = frozenset(
            reduced_composition(material.crystal) for material in materials
        )
        """The reduced compositions of all materials."""

    def draws(self, limits: CompositionLimits, aim: Aim, seed: int) -> Iterator[KnownMaterial]:
        """Materials, the same for the same seed, none twice; each has at most the atoms of the limits.

        Where the limits name a formula, elements in its ratio; where they name elements only, as many of
        them; where the aim has a symmetry, that symmetry; each unless none is like that. Those in which the
        named elements are likeliest to take a place come more often. Raises WrongStateError where nothing is
        small enough.
        """
        pool = self._pool((limits, aim.space_group_number, aim.crystal_system))
        if not pool.positions:
            raise WrongStateError(
                "the server holds no material to start from that is small enough; bring a reference, or "
                "ask for MISSING_REFERENCE_OMIT"
            )
        # The order of these keys is that of drawing one after the other by weight and putting none back.
        keys = pool.log_weights + np.random.default_rng(seed).gumbel(size=len(pool.positions))
        for place in np.argsort(-keys, kind="stable").tolist():
            try:
                yield self._at(pool.positions[place])
            except CrystalError:  # its standard setting cannot be found; the check before told as much
                continue

    def _at(self, position: int) -> KnownMaterial:
        if position not in self._known:
            material = self._materials[position]
            self._known[position] = known_material(material.crystal, material.properties)
        return self._known[position]

    def _pool(self, wanted: _Wanted) -> _Pool:
        if wanted not in self._pools:
            if len(self._pools) >= _KEPT_POOLS:
                self._pools.clear()
            limits, group, system = wanted
            fitting = self._fitting(limits)
            aim = Aim(space_group_number=group, crystal_system=system)
            symmetric = [n for n in fitting if has_symmetry(self._materials[n].space_group_number, aim)]
            self._pools[wanted] = self._likely(symmetric or fitting, limits)
        return self._pools[wanted]

    def _likely(self, positions: Sequence[int], limits: CompositionLimits) -> _Pool:
        """The materials in which the required elements are likeliest; all alike where none are required."""
        if not limits.required:
            return _Pool(positions, np.zeros(len(positions)))
        plausible = {position: self._log_plausibility(position, limits) for position in positions}
        best = heapq.nlargest(_LIKELIEST, positions, key=plausible.__getitem__)
        highest = max((plausible[position] for position in best), default=0.0)
        if highest == -math.inf:  # substitution is at a loss with all of them, and a model may not be
            return _Pool(positions, np.zeros(len(positions)))
        return _Pool(best, np.array([plausible[position] for position in best]))

    def _log_plausibility(self, position: int, limits: CompositionLimits) -> float:
        if limits.formula is not None and self._ratios[position] != stoichiometry(limits.formula):
            return -math.inf  # as `Choices` would find, but a hundred times as fast
        try:
            return Choices(self._compositions[position], limits, self._table).log_plausibility
        except NoSubstitutionError:
            return -math.inf

    def _fitting(self, limits: CompositionLimits) -> Sequence[int]:
        sizes = np.array([sum(count for _, count in each) for each in self._compositions], dtype=np.int64)
        small = np.flatnonzero(sizes <= limits.max_atoms).tolist()
        if limits.formula is not None:
            ratio = stoichiometry(limits.formula)
            alike = [n for n in small if self._ratios[n] == ratio]
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
