"""Hull distances that a data set lacks, out of formation energies, by the stability code of relaxation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidFieldError, ModelNotFoundError
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
        from crystalmesh_relaxation.stability.entries import (  # noqa: PLC0415 -- another service's package
            Entry,
            EntryTable,
            shares_in,
            system_of,
        )
        from crystalmesh_relaxation.stability.formulas import amounts_of  # noqa: PLC0415
        from crystalmesh_relaxation.stability.hull import Hull  # noqa: PLC0415
    except ImportError:
        raise ModelNotFoundError(
            "hull distances are computed by crystalmesh-relaxation: install it"
        ) from None
    entries = EntryTable([Entry(*row) for row in _rows(table)])
    by_system: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for n in missing:
        by_system[system_of(amounts_of(pairs[n].formula))].append(n)
    for system, members in by_system.items():
        try:
            within = entries.within(system)
        except CrystalMeshError:
            continue
        hull = Hull(
            np.array([shares_in(system, amounts_of(entry.formula)) for entry in within]),
            np.array([entry.formation_energy_ev_per_atom for entry in within]),
        )
        compositions = np.array([shares_in(system, amounts_of(pairs[n].formula)) for n in members])
        energies = np.array([pairs[n].formation_energy_ev_per_atom for n in members], dtype=np.float64)
        for n, distance in zip(members, hull.distances(compositions, energies), strict=True):
            result[n] = replace(pairs[n], energy_above_hull_ev_per_atom=max(float(distance), 0.0))
    return result


def _lacks(pair: Pair) -> bool:
    return pair.energy_above_hull_ev_per_atom is None and pair.formation_energy_ev_per_atom is not None


def _rows(table: Path) -> list[tuple[str, str, float]]:
    columns = ["id", "formula", "formation_energy_ev_per_atom"]
    try:
        rows = pq.read_table(table, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise SourceFileError(f"{table} is no table of entries: {str(error).splitlines()[0]}") from None
    found = [
        row for row in zip(*(rows[name].to_pylist() for name in columns), strict=True) if None not in row
    ]
    if not found:
        raise InvalidFieldError(f"{table} has no entries with formation energies", field="hull")
    return found
