"""What a generator was asked for: one sample each time, a crystal or none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crystalmesh_common.crystal.structure import Crystal


@dataclass(frozen=True, eq=False)
class Sample:
    """One answer of a generator; shares are of all that were asked for, also of what was no crystal."""

    crystal: Crystal | None  # None: the text could not be parsed
    problem: str = ""  # why there is no crystal


def crystals_in(samples: Sequence[Sample]) -> list[Crystal]:
    """The crystals among the samples, in order."""
    return [sample.crystal for sample in samples if sample.crystal is not None]


def content_hash(crystal: Crystal) -> str:
    """32 hexadecimal digits that are the same for bit-for-bit copies only; ids and moments do not count."""
    digest = hashlib.sha256()
    digest.update(np.ascontiguousarray(crystal.numbers, dtype="<i8").tobytes())
    for array in (crystal.cell, crystal.frac_coords):
        digest.update((np.ascontiguousarray(array, dtype="<f8") + 0.0).tobytes())  # -0.0 is 0.0
    return digest.hexdigest()[:32]


def share(count: int, of: int) -> float:
    """A share; NaN of nothing."""
    return count / of if of else float("nan")
