"""What was mined from known crystals: which element takes whose place, and how large each is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, MAX_ATOMIC_NUMBER, symbol_of
from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_common.runtime.errors import DataCorruptError

_SHIPPED = "shipped/substitutions.json"
_DECIMALS = 3


@dataclass(frozen=True, eq=False)
class SubstitutionTable:
    """How often elements were found in each other's places, as Hautier et al. (2011) count ions.

    A count is the weight of pairs of known crystals of one structure type that have the one element and
    the other in the same role; counts are symmetric, and an element is not counted against itself.
    """

    version: str
    made_from: str
    counts: FloatArray  # (119, 119), by two atomic numbers
    volumes: FloatArray  # (119,), Å³ by atomic number

    def probability(self, from_number: int, to_number: int) -> float:
        """How likely the second element is what is found instead of the first; 0 where it never was.

        The probabilities of all replacements of an element add up to 1, or to 0 for one never seen.
        """
        return float(self._probabilities[from_number, to_number])

    def correlation(self, first: int, second: int) -> float:
        """How much oftener two elements share a role than chance would have it: p(A,B) / (p(A) p(B))."""
        alone = self._shares[first] * self._shares[second]
        total = self.counts.sum()
        return float(self.counts[first, second] / total / alone) if alone else 0.0

    def volume_of(self, number: int) -> float:
        """Å³ that an atom of this element takes; ratios of sums of these say how a cell should grow."""
        return float(self.volumes[number])

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises `DataCorruptError` for a file that `write` did not write."""
        try:
            return cls.of(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataCorruptError(f"{path} is no table of substitutions: {error}", path=path) from error

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """From the JSON of a file. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        numbers = [ATOMIC_NUMBERS[symbol] for symbol in said["elements"]]
        listed = np.array(said["counts"], dtype=np.float64)
        listed = listed.reshape(0, 0) if not listed.size else listed
        if listed.shape != (len(numbers), len(numbers)) or len(set(numbers)) != len(numbers):
            raise ValueError("the counts are no square of the elements")
        if not (np.isfinite(listed).all() and (listed >= 0).all() and (listed == listed.T).all()):
            raise ValueError("the counts are not symmetric or below 0")
        counts = np.zeros((MAX_ATOMIC_NUMBER + 1,) * 2)
        counts[np.ix_(numbers, numbers)] = listed
        volumes = np.zeros(MAX_ATOMIC_NUMBER + 1)
        for symbol, volume in dict(said["volumes_cubic_angstrom"]).items():
            volumes[ATOMIC_NUMBERS[symbol]] = float(volume)
        if not (np.isfinite(volumes).all() and (volumes[1:] > 0).all()):
            raise ValueError("an element has no volume above 0")
        return cls(str(said["version"]), str(said["made_from"]), counts, volumes)

    def write(self, path: Path) -> None:
        """As JSON with one row of counts a line."""
        numbers = [number for number in range(1, MAX_ATOMIC_NUMBER + 1) if self.counts[number].any()]
        rows = np.round(self.counts[np.ix_(numbers, numbers)], _DECIMALS).tolist()
        volumes = {symbol_of(z): round(self.volume_of(z), 2) for z in range(1, MAX_ATOMIC_NUMBER + 1)}
        lines = [
            "{",
            f' "version": {json.dumps(self.version)},',
            f' "made_from": {json.dumps(self.made_from)},',
            f' "elements": {json.dumps([symbol_of(number) for number in numbers])},',
            ' "counts": [',
            ",\n".join("  " + json.dumps([_short(value) for value in row]) for row in rows),
            " ],",
            f' "volumes_cubic_angstrom": {json.dumps(volumes)}',
            "}",
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @cached_property
    def _probabilities(self) -> FloatArray:
        totals = self.counts.sum(axis=1, keepdims=True)
        probabilities: FloatArray = self.counts / np.where(totals > 0, totals, 1.0)
        return probabilities

    @cached_property
    def _shares(self) -> FloatArray:
        """The part that each element has in all counts."""
        shares: FloatArray = self.counts.sum(axis=1) / max(float(self.counts.sum()), 1e-12)
        return shares


def shipped_substitutions() -> SubstitutionTable:
    """The table that comes with the service, mined from MP-20 train. Raises `DataCorruptError`."""
    text = files("crystalmesh_generation").joinpath(_SHIPPED).read_text(encoding="utf-8")
    try:
        return SubstitutionTable.of(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise DataCorruptError(f"{_SHIPPED} is no table of substitutions: {error}") from error


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else value
