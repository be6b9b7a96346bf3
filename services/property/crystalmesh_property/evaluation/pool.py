"""Several tables of graphs as one, each giving only the labels that it may give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crystalmesh_property.graphs.graph import CrystalGraph
from crystalmesh_property.graphs.packed import PackedGraphs
from crystalmesh_property.properties import Property


class GraphPool:
    """Crystals of some tables, numbered through from 0."""

    def __init__(
        self, tables: Sequence[PackedGraphs], gives: Sequence[frozenset[Property]] | None = None
    ) -> None:
        self.tables = list(tables)
        self.starts = np.cumsum([0, *(len(table) for table in tables)])  # (tables + 1,)
        self.edge_counts = np.concatenate([table.edge_counts for table in tables])  # (c,)
        labels = [np.array(table.labels) for table in tables]
        for allowed, mine in zip(gives or [], labels, strict=bool(gives)):
            withheld = [n for n, name in enumerate(Property) if name not in allowed]
            mine[:, withheld] = np.nan
        self.labels: NDArray[np.float32] = np.concatenate(labels)  # (c, properties), NaN where there is none
        self.ids = [each for table in tables for each in table.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def graph(self, index: int) -> CrystalGraph:
        table = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.tables[table].graph(index - int(self.starts[table]))

    def members(self, table: int) -> NDArray[np.int64]:
        """The numbers of one table's crystals."""
        return np.arange(self.starts[table], self.starts[table + 1])

    def known(self, members: NDArray[np.int64], properties: Sequence[Property]) -> NDArray[np.int64]:
        """Those of some members that have a label for at least one of the properties."""
        columns = [list(Property).index(name) for name in properties]
        return members[np.isfinite(self.labels[members][:, columns]).any(axis=1)]
