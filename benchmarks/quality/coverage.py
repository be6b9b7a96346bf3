"""Coverage as in CDVAE (Xie et al., ICLR 2022; after Ganea et al., NeurIPS 2021), for MP-20.

A test crystal is covered, and a sample precise, if the other set holds one within 0.4 by the fingerprint of
structure and one within 10 by that of composition; not necessarily the same one. The cutoffs are those of
CDVAE's `compute_metrics.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from benchmarks.quality.fingerprints import Fingerprints
from benchmarks.quality.samples import share
from crystalmesh_common.crystal.structure import FloatArray

STRUCTURE_CUTOFF = 0.4
COMPOSITION_CUTOFF = 10.0
_ROWS = 512  # of distances at a time


@dataclass(frozen=True)
class Coverage:
    """How well two sets cover each other.

    `precision` divides by the samples that have fingerprints, as the code of Gruver et al. (ICLR 2024) does,
    which fingerprints valid samples only; MatExpert is taken to do the same. `precision_of_all` divides by
    all that were asked for, as CDVAE's code does.
    """

    recall: float
    precision: float
    precision_of_all: float


def coverage_of(generated: Fingerprints, test: Fingerprints, *, asked: int) -> Coverage:
    """Coverage between the fingerprints of valid samples and of a test set; `asked` counts all samples."""
    if not (len(generated) and len(test)):
        return Coverage(0.0, float("nan"), 0.0)
    near_structure = nearest(generated.structure, test.structure)
    near_composition = nearest(generated.composition, test.composition)
    precise, covered = (
        int(((structure <= STRUCTURE_CUTOFF) & (composition <= COMPOSITION_CUTOFF)).sum())
        for structure, composition in zip(near_structure, near_composition, strict=True)
    )
    return Coverage(
        recall=share(covered, len(test)),
        precision=share(precise, len(generated)),
        precision_of_all=share(precise, asked),
    )


def nearest(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The distance of each row of both (n, k) and (m, k) to the nearest of the other, (n,) and (m,)."""
    of_first, of_second = np.empty(len(first)), np.full(len(second), np.inf)
    for start in range(0, len(first), _ROWS):
        distances = cdist(first[start : start + _ROWS], second)
        of_first[start : start + _ROWS] = distances.min(axis=1)
        of_second = np.minimum(of_second, distances.min(axis=0))
    return of_first, of_second
