"""Hull distances that a data set lacks, out of formation energies, by the stability code of relaxation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from crystalmesh_common.runtime.errors import ModelNotFoundError
from crystalmesh_retrieval.sources.source import SourceFileError
from crystalmesh_retrieval.training.pairs import Pair


def with_hull_distances(pairs: Sequence[Pair], table: Path) -> list[Pair]:
    """The pairs, their missing energies above hull computed from a table of all entries.

    The table has `id`, `formula` and `formation_energy_ev_per_atom`, in the scheme of the pairs' own. What
    lies below its hull gets zero. A pair stays as it is where it has no formation energy, or an element has
    no entry. Raises SourceFileError, and ModelNotFoundError without crystalmesh-relaxation.
    """
    missing = [n for n, pair in enumerate(pairs) if _lacks(pair)]
    result = list(pairs)
    if not missing:
        return result
    try:
        from crystalmesh_relaxation.stability.distances import (  # noqa: PLC0415 -- another service's package
            hull_distances,
        )
        from crystalmesh_relaxation.stability.tables import ReferenceFileError  # noqa: PLC0415
    except ImportError:
        raise ModelNotFoundError(
            "hull distances are computed by crystalmesh-relaxation: install it"
        ) from None
    energies = np.array([pairs[n].formation_energy_ev_per_atom for n in missing], dtype=np.float64)
    try:
        distances = hull_distances(table, [pairs[n].formula for n in missing], energies)
    except ReferenceFileError as error:
        raise SourceFileError(error.message) from None
    for n, distance in zip(missing, distances, strict=True):
        if np.isfinite(distance):
            result[n] = replace(pairs[n], energy_above_hull_ev_per_atom=float(distance))
    return result


def _lacks(pair: Pair) -> bool:
    return pair.energy_above_hull_ev_per_atom is None and pair.formation_energy_ev_per_atom is not None
