"""Rates that multiply: how much an arm yields is the product of what its parts contribute.

Every part has a contribution with a gamma distribution, of mean 1 or what its prior says before anything is
known. Amounts that were yielded are Poisson numbers with the product of the contributions, times the
exposure, as mean. The contributions are fitted by variational inference: each in turn, the others at
their means.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

Part = tuple[Any, ...]
"""Its kind, and what tells it from others of its kind."""

_SWEEPS = 10


@dataclass(frozen=True)
class Prior:
    """What is believed of a contribution at first: its mean, and how many units yielded outweigh it."""

    mean: float = 1.0
    strength: float = 1.0


@dataclass(frozen=True)
class Yield:
    """What an arm yielded."""

    parts: Sequence[Part]
    amount: float
    exposure: float  # how often it could have yielded something


class Effects:
    """The contributions of parts, given what arms yielded."""

    def __init__(self, prior_of: Callable[[Part], Prior], yields: Iterable[Yield]) -> None:
        self._prior_of = prior_of
        self._known: dict[Part, tuple[float, float]] = {}  # shape and rate of the gamma distribution
        self._fit(_merged(yields))

    def means(self, parts: Iterable[Part]) -> list[float]:
        """What each part contributes on average."""
        return [shape / rate for shape, rate in map(self._shape_and_rate, parts)]

    def draws(self, parts: Iterable[Part], chance: random.Random) -> list[float]:
        """What each part contributes in one possible world."""
        return [chance.gammavariate(shape, 1 / rate) for shape, rate in map(self._shape_and_rate, parts)]

    def _shape_and_rate(self, part: Part) -> tuple[float, float]:
        if (known := self._known.get(part)) is not None:
            return known
        prior = self._prior_of(part)
        return prior.strength, prior.strength / prior.mean

    def _fit(self, yields: Sequence[Yield]) -> None:
        of_part: dict[Part, list[int]] = defaultdict(list)
        for place, each in enumerate(yields):
            for part in each.parts:
                of_part[part].append(place)
        priors = {part: self._prior_of(part) for part in of_part}
        means = {part: prior.mean for part, prior in priors.items()}
        expected = [each.exposure * prod(means[part] for part in each.parts) for each in yields]
        for _ in range(_SWEEPS):
            for part, places in of_part.items():
                prior = priors[part]
                shape = prior.strength + sum(yields[place].amount for place in places)
                rate = prior.strength / prior.mean + sum(expected[place] for place in places) / means[part]
                change = shape / rate / means[part]
                means[part] *= change
                for place in places:
                    expected[place] *= change
                self._known[part] = shape, rate


def _merged(yields: Iterable[Yield]) -> Sequence[Yield]:
    """One for each different arm."""
    sums: dict[tuple[Part, ...], tuple[float, float]] = {}
    for each in yields:
        amount, exposure = sums.get(key := tuple(each.parts), (0.0, 0.0))
        sums[key] = amount + each.amount, exposure + each.exposure
    return [Yield(parts, amount, exposure) for parts, (amount, exposure) in sums.items() if exposure > 0]
