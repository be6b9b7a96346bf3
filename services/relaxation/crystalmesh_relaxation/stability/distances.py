"""Hull distances of many compositions at once, for data sets that lack them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_common.runtime.errors import ReferenceIncompleteError
from crystalmesh_relaxation.stability.entries import EntryTable, System, shares_in, system_of
from crystalmesh_relaxation.stability.formulas import amounts_of
from crystalmesh_relaxation.stability.hull import Hull
from crystalmesh_relaxation.stability.tables import read_entries


def hull_distances(table: Path, formulas: Sequence[str], energies: FloatArray) -> FloatArray:
    """How far formation energies (n,) in eV/atom lie above the hull of a table's entries, (n,).

    What lies below its hull gets zero; NaN where an element has no entry or the energy is NaN. The table has
    `id`, `formula` and `formation_energy_ev_per_atom`, in the scheme of the energies. Raises
    ReferenceFileError, and InvalidFieldError for what is no formula.
    """
    entries = EntryTable(read_entries(table))
    members: dict[System, list[int]] = defaultdict(list)
    for n in np.flatnonzero(np.isfinite(energies)).tolist():
        members[system_of(amounts_of(formulas[n]))].append(n)
    distances = np.full(len(formulas), np.nan)
    for system, rows in members.items():
        try:
            within = entries.within(system)
        except ReferenceIncompleteError:
            continue
        hull = Hull(
            np.array([shares_in(system, amounts_of(entry.formula)) for entry in within]),
            np.array([entry.formation_energy_ev_per_atom for entry in within]),
        )
        compositions = np.array([shares_in(system, amounts_of(formulas[n])) for n in rows])
        distances[rows] = np.maximum(hull.distances(compositions, energies[rows]), 0.0)
    return distances
