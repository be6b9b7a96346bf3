"""Magpie's statistics of the elements in a composition (Ward et al., npj Comput. Mater. 2, 16028, 2016).

The 132 numbers of matminer's `ElementProperty.from_preset("magpie")`, in its order: of each of 22 properties
of the elements the minimum, the maximum, the range, the mean, the mean deviation from it, and the mode.
matminer itself is not needed; it cannot be installed beside pandas 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from crystalmesh_common.crystal.composition import Composition, composition_of
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_relaxation.stability.formulas import amounts_of

_TABLE = Path(__file__).with_name("magpie_elements.csv")
_AS_OFTEN = 1e-5  # relative: elements that share the most atoms, whatever rounding says
COMPOSITION_LENGTH = 132


def composition_fingerprint(composition: Iterable[tuple[int, int]]) -> FloatArray:
    """The statistics of (atomic number, count) pairs, (132,); NaN where an element's number is not known."""
    numbers, counts = (np.array(column) for column in zip(*composition, strict=True))
    table = element_table()[numbers - 1]  # (elements, 22)
    shares = counts / counts.sum()
    mean = shares @ table
    lowest, highest = table.min(axis=0), table.max(axis=0)
    deviation = shares @ np.abs(table - mean)
    mode = table[shares >= shares.max() * (1 - _AS_OFTEN)].min(axis=0)
    return np.stack([lowest, highest, highest - lowest, mean, deviation, mode], axis=1).ravel()


def composition_fingerprints(crystals: Iterable[Crystal]) -> FloatArray:
    """One row per crystal, (n, 132)."""
    rows = [composition_fingerprint(composition_of(crystal)) for crystal in crystals]
    return np.array(rows).reshape(-1, COMPOSITION_LENGTH)


def composition_of_formula(formula: str) -> Composition:
    """A whole-numbered formula, reduced; raises InvalidFieldError for what is none."""
    amounts: Mapping[str, float] = amounts_of(formula)
    factor = int(np.gcd.reduce([round(amount) for amount in amounts.values()]))
    return tuple(sorted((ATOMIC_NUMBERS[symbol], round(n) // factor) for symbol, n in amounts.items()))


@lru_cache(maxsize=1)
def element_table() -> FloatArray:
    """The 22 numbers of each element by atomic number, (118, 22), NaN where one is not known."""
    lines = [line for line in _TABLE.read_text().splitlines() if not line.startswith("#")]
    return np.array([[float(cell or "nan") for cell in line.split(",")] for line in lines[1:]])


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Scales every statistic to mean 0 and deviation 1 over a training set, as CDVAE's `CompScaler` does.

    CDVAE ships means and deviations that differ somewhat from those of MP-20's train split (the mean atomic
    number is 36.5 ± 16.8 there, and 33.7 ± 16.6 over MP-20 train).
    """

    mean: FloatArray  # (132,)
    deviation: FloatArray  # (132,), 1 where all are the same

    @classmethod
    def of(cls, training: Iterable[Composition]) -> Standardisation:
        """Learnt from compositions; what is not known of an element does not count."""
        rows = np.array([composition_fingerprint(composition) for composition in training])
        deviation = np.nanstd(rows, axis=0)
        return cls(np.nanmean(rows, axis=0), np.where(deviation > 0, deviation, 1.0))

    def of_rows(self, fingerprints: FloatArray) -> FloatArray:
        """Scaled rows (n, 132); what was not known is the mean of the training set, 0."""
        return np.nan_to_num((fingerprints - self.mean) / self.deviation, nan=0.0)
