"""Fingerprints of many crystals, of structure and of composition; those of structure are kept on disk."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.ledger import Ledger
from benchmarks.quality.magpie import Standardisation, composition_fingerprints
from benchmarks.quality.order_parameters import STRUCTURE_LENGTH, structure_fingerprint
from benchmarks.quality.samples import content_hash
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import CrystalMeshError

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""
_CHUNK = 8


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Of those crystals that have one, in order."""

    structure: FloatArray  # (n, 61)
    composition: FloatArray  # (n, 132), standardised

    def __len__(self) -> int:
        return len(self.structure)


def fingerprints_of(
    crystals: Sequence[Crystal],
    standardisation: Standardisation,
    ledger: Ledger,
    *,
    processes: int = 1,
    progress: Progress | None = None,
) -> Fingerprints:
    """The fingerprints of the crystals that have one; what the ledger lacks is computed and kept there."""
    found = structure_fingerprints(crystals, ledger, processes=processes, progress=progress)
    having = [(crystal, row) for crystal, row in zip(crystals, found, strict=True) if row is not None]
    return Fingerprints(
        np.array([row for _, row in having]).reshape(-1, STRUCTURE_LENGTH),
        standardisation.of_rows(composition_fingerprints(crystal for crystal, _ in having)),
    )


def structure_fingerprints(
    crystals: Sequence[Crystal],
    ledger: Ledger,
    *,
    processes: int = 1,
    progress: Progress | None = None,
) -> list[FloatArray | None]:
    """One per crystal, None for those that have none; interrupted, the next call goes on."""
    keys = [content_hash(crystal) for crystal in crystals]
    missing = {key: c for key, c in zip(keys, crystals, strict=True) if key not in ledger}
    done = len(crystals) - len(missing)
    for key, result in zip(missing, _computed(list(missing.values()), processes), strict=True):
        if isinstance(result, str):
            ledger.write(key, {"problem": result})
        else:
            ledger.write(key, {"fingerprint": [round(value, 8) for value in result.tolist()]})
        done += 1
        if progress is not None:
            progress(done, len(crystals))
    rows = (ledger[key].get("fingerprint") for key in keys)
    return [None if row is None else np.array(row) for row in rows]


def _computed(crystals: Sequence[Crystal], processes: int) -> Iterator[FloatArray | str]:
    if processes == 1 or len(crystals) <= _CHUNK:
        yield from map(_fingerprint_or_problem, crystals)
        return
    # Not forked: threads of the caller's libraries would not live on in a copy.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(_fingerprint_or_problem, map(_bare, crystals), chunksize=_CHUNK)


def _bare(crystal: Crystal) -> Crystal:
    """Without what a fingerprint does not need, and what cannot be sent to a process."""
    return Crystal(crystal.cell, crystal.numbers, crystal.frac_coords, scalars={})


def _fingerprint_or_problem(crystal: Crystal) -> FloatArray | str:
    try:
        return structure_fingerprint(crystal)
    except CrystalMeshError as error:
        return error.message
