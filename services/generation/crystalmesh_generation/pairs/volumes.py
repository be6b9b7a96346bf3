"""How much room an atom of each element takes in crystals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, nnls

from crystalmesh_common.crystal.description.elements import COVALENT_RADII_ANGSTROM
from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_generation.pairs.pair_table import Pair
from crystalmesh_generation.pairs.standard_table import StandardCrystal

_SIZE = MAX_ATOMIC_NUMBER + 1
_SMALLEST_VOLUME = 3.0
_OUTLIER = 0.2
"""Of the logarithm of a ratio of volumes; beyond it, errors count linearly."""
_PRIOR = 1e-5
_BY_RADIUS = (2.0, 2.0)
"""Slope and offset of the logarithms of volume and covalent radius, for want of crystals."""


@dataclass(frozen=True)
class Foretold:
    """How well volumes foretell the growth of cells in pairs that it was not made from."""

    pairs: int
    median_error: float  # of the logarithm of the ratio of volumes
    median_growth: float  # the same for cells that keep their volume


def volumes_foretold(
    volumes: FloatArray, references: Sequence[StandardCrystal], pairs: Sequence[Pair]
) -> Foretold:
    """How large the error is that volumes (119,) leave in aligned pairs."""
    by_row = {each.row: each.crystal for each in references}
    aligned = [pair for pair in pairs if pair.aligned]
    targets, others = [pair.crystal for pair in aligned], [by_row[pair.reference] for pair in aligned]
    growth = np.log([one.volume / other.volume for one, other in zip(targets, others, strict=True)])
    told = np.log(_atoms(targets) @ volumes / (_atoms(others) @ volumes))
    return Foretold(len(aligned), float(np.median(np.abs(told - growth))), float(np.median(np.abs(growth))))


def fitted_volumes(crystals: Sequence[StandardCrystal], pairs: Sequence[Pair]) -> FloatArray:
    """Å³ of an atom of each element (119,), so that sums of them follow cells through substitutions.

    First such that they add up to the volumes of the crystals, then such that their ratios are those of
    the volumes of aligned pairs, which is what they are for. Elements that no crystal has get what their
    covalent radius suggests.
    """
    atoms = _atoms([each.crystal for each in crystals])
    volumes = np.array([each.crystal.volume for each in crystals])
    known = atoms.any(axis=0)
    first = np.full(_SIZE, _SMALLEST_VOLUME)
    solved, _ = nnls(atoms[:, known] / volumes[:, None], np.ones(len(volumes)))
    first[known] = np.maximum(solved, _SMALLEST_VOLUME)
    fitted = _through_pairs(first, crystals, pairs)
    radii = np.log(COVALENT_RADII_ANGSTROM)
    slope, offset = np.polyfit(radii[known], np.log(fitted[known]), 1) if known.sum() > 1 else _BY_RADIUS
    fitted = np.where(known, fitted, np.exp(offset + slope * radii))
    fitted[0] = 0.0  # which is no element
    return fitted


def _through_pairs(
    first: FloatArray, crystals: Sequence[StandardCrystal], pairs: Sequence[Pair]
) -> FloatArray:
    """Volumes near the first ones with which the growth of cells in aligned pairs is best foretold."""
    aligned = [pair for pair in pairs if pair.aligned]
    if not aligned:
        return first
    by_row = {each.row: each.crystal for each in crystals}
    references = [by_row[pair.reference] for pair in aligned]
    targets = [pair.crystal for pair in aligned]
    growth = np.log([one.volume / other.volume for one, other in zip(targets, references, strict=True)])
    after, before = _atoms(targets), _atoms(references)
    start = np.log(first)

    def loss(logarithms: FloatArray) -> tuple[float, FloatArray]:
        volumes = np.exp(logarithms)
        new, old = after @ volumes, before @ volumes
        errors = np.log(new / old) - growth
        held = np.clip(errors, -_OUTLIER, _OUTLIER)
        slope = ((held / new) @ after - (held / old) @ before) * volumes / len(errors)
        drift = logarithms - start
        value = float((held * errors - 0.5 * held**2).mean() + 0.5 * _PRIOR * drift @ drift)
        return value, slope + _PRIOR * drift

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    volumes: FloatArray = np.exp(found.x)
    return volumes


def _atoms(crystals: Sequence[Crystal]) -> FloatArray:
    """How many atoms of each element each crystal has, (m, 119)."""
    return np.array([np.bincount(crystal.numbers, minlength=_SIZE) for crystal in crystals], dtype=np.float64)
