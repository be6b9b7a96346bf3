"""What a model was trained on, so that crystals unlike it can be told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalmesh_property.graphs.batches import GraphSource


def domain_of(source: GraphSource, members: NDArray[np.int64]) -> dict[str, Any]:
    """Crystals with each element, and the ranges of what crystals were like, over some members."""
    crystals = np.zeros(256, dtype=np.int64)
    volumes, atoms, shortest = [], [], []
    for index in members:
        graph = source.graph(int(index))
        crystals[np.unique(graph.elements)] += 1
        volumes.append(graph.volume_per_atom_cubic_angstrom)
        atoms.append(graph.atoms)
        if len(graph.distances_angstrom):
            shortest.append(float(graph.distances_angstrom.min()))
    return {
        "crystals": len(members),
        "crystals_with_element": {str(z): int(n) for z, n in enumerate(crystals) if n},
        "volume_per_atom_cubic_angstrom": [min(volumes), max(volumes)],
        "atoms": [min(atoms), max(atoms)],
        "shortest_distance_angstrom": min(shortest, default=None),
    }
