"""Hull distances that MP-20's train part lacks, out of its formation energies and all entries of MP-20."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.runtime.errors import ModelNotFoundError
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.graphs.packed import PackedGraphs
from crystalmesh_property.properties import Property

_TRAIN = 0
"""The table of the pool whose labels are completed; those that are judged stay as published."""


def add_hull_distances(pool: GraphPool, table: Path) -> int:
    """Fill in the labels, and say how many. Distances of a DFT hull of the same scheme; none is negative.

    Raises ReferenceFileError for a table that has no entries, and ModelNotFoundError without
    crystalmesh-relaxation, whose hulls these are.
    """
    try:
        from crystalmesh_relaxation.stability.distances import (  # noqa: PLC0415 -- another service's package
            hull_distances,
        )
    except ImportError:
        raise ModelNotFoundError(
            "hull distances are computed by crystalmesh-relaxation: install it"
        ) from None
    names = list(Property)
    energy, distance = names.index(Property.FORMATION_ENERGY), names.index(Property.ENERGY_ABOVE_HULL)
    members = pool.members(_TRAIN)
    labels = pool.labels
    missing = members[np.isfinite(labels[members, energy]) & ~np.isfinite(labels[members, distance])]
    formulas = _formulas(pool.tables[_TRAIN])
    found = hull_distances(
        table,
        [formulas[member - members[0]] for member in missing],
        labels[missing, energy].astype(np.float64),
    )
    labels[missing, distance] = found
    return int(np.isfinite(found).sum())


def _formulas(table: PackedGraphs) -> list[str]:
    """The cell's formula of every crystal, in any order of elements."""
    return [
        "".join(f"{symbol_of(number)}{count}" for number, count in table.graph(index).amounts().items())
        for index in range(len(table))
    ]
