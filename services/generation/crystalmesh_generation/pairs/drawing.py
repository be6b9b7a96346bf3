"""Which crystals a target might be written from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crystalmesh_common.crystal.composition import reduced_composition
from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_generation.pairs.likeness import by_share, unlikeness
from crystalmesh_generation.pairs.standard_table import StandardCrystal

_TEMPERATURES = (0.7, 1.5, 1.5, np.inf)
"""Of draw after draw: near substitutions, wider ones, and any at all; as scientists and chance would ask."""
_TIER = 1e6
_SHARED = 6.0
"""How much more likely a crystal of the same elements in the same shares is than one that has none."""
_PER_ELEMENT = 24
_ANY = 12


@dataclass(frozen=True, eq=False)
class _Bucket:
    """Crystals of one anonymous formula with equally many atoms."""

    positions: IntArray  # (m,), among all of them
    elements: IntArray  # (m, k), by share
    shares: FloatArray  # (k,), part of the atoms
    groups: IntArray  # (m,), space groups
    prototypes: NDArray[np.str_]  # (m,)


class References:
    """The crystals that targets are written from, and who is like whom."""

    def __init__(self, crystals: Sequence[StandardCrystal]) -> None:
        self.crystals = crystals
        members: dict[tuple[int, ...], list[int]] = defaultdict(list)
        with_element: dict[int, list[int]] = defaultdict(list)
        by_shares = [by_share(each.crystal) for each in crystals]
        for position, (elements, counts) in enumerate(by_shares):
            members[tuple(counts.tolist())].append(position)
            for element in elements.tolist():
                with_element[element].append(position)
        self._buckets = {
            counts: _bucket(counts, positions, crystals, by_shares) for counts, positions in members.items()
        }
        self._with_element = {element: np.array(found) for element, found in with_element.items()}
        self._shares: Sequence[Mapping[int, float]] = [_shares(each.crystal) for each in crystals]

    def alike(
        self, target: StandardCrystal, random: np.random.Generator, *, same_formula: bool
    ) -> Iterator[int]:
        """Positions of crystals with equally many atoms of as many elements, all of them in the end.

        Those of the same prototype first, then of the same space group, then others; each time drawn by
        how alike the elements are. Either those of the target's own composition, or those of any other.
        """
        elements, counts = by_share(target.crystal)
        bucket = self._buckets.get(tuple(counts.tolist()))
        if bucket is None:
            return
        chosen = (bucket.elements == elements).all(axis=1) == same_formula
        positions = bucket.positions[chosen]
        distances = unlikeness()[bucket.elements[chosen], elements] @ bucket.shares
        tiers = (bucket.groups[chosen] != target.space_group) * _TIER
        tiers += (bucket.prototypes[chosen] != target.prototype) * _TIER
        left = np.ones(len(positions), dtype=bool)
        for draw in range(len(positions)):
            temperature = _TEMPERATURES[draw % len(_TEMPERATURES)]
            keys = random.gumbel(size=len(positions)) - distances / temperature - tiers
            best = int(np.argmax(np.where(left, keys, -np.inf)))
            left[best] = False
            yield int(positions[best])

    def related(
        self, target: StandardCrystal, random: np.random.Generator, *, same_formula: bool
    ) -> Iterator[int]:
        """Positions of some crystals that share elements with the target, whatever their structure.

        Those with more in common are likelier to come first.
        """
        known = [self._with_element[e] for e in _shares(target.crystal) if e in self._with_element]
        pool = [random.choice(found, min(_PER_ELEMENT, len(found)), replace=False) for found in known]
        pool.append(random.integers(len(self.crystals), size=_ANY))
        positions = np.unique(np.concatenate(pool))
        shares = _shares(target.crystal)
        common = np.array([_in_common(shares, self._shares[position]) for position in positions])
        own = reduced_composition(target.crystal)
        for chosen in np.argsort(-(random.gumbel(size=len(positions)) + _SHARED * common)):
            position = int(positions[chosen])
            if (reduced_composition(self.crystals[position].crystal) == own) == same_formula:
                yield position


def _bucket(
    counts: tuple[int, ...],
    positions: Sequence[int],
    crystals: Sequence[StandardCrystal],
    by_shares: Sequence[tuple[IntArray, IntArray]],
) -> _Bucket:
    return _Bucket(
        positions=np.array(positions),
        elements=np.array([by_shares[position][0] for position in positions]),
        shares=np.array(counts) / sum(counts),
        groups=np.array([crystals[position].space_group for position in positions]),
        prototypes=np.array([crystals[position].prototype for position in positions]),
    )


def _shares(crystal: Crystal) -> Mapping[int, float]:
    elements, counts = np.unique(crystal.numbers, return_counts=True)
    return dict(zip(elements.tolist(), (counts / len(crystal)).tolist(), strict=True))


def _in_common(first: Mapping[int, float], second: Mapping[int, float]) -> float:
    """1 for equal shares of equal elements, 0 for no element in common."""
    return sum(min(share, second.get(element, 0.0)) for element, share in first.items())
