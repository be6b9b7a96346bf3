"""The materials of a catalog by formula: what a crystal has to be compared with."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crystalmesh_retrieval.catalog.segment import Rows, Segment
from crystalmesh_retrieval.catalog.snapshot import Location, Snapshot


class FormulaTable:
    """The rows of a segment by formula. Threads may share it."""

    def __init__(self, formulas: pa.StringArray) -> None:
        encoded = formulas.dictionary_encode()
        codes: NDArray[np.int64] = encoded.indices.to_numpy().astype(np.int64)
        self._codes: Mapping[str, int] = {
            formula: code for code, formula in enumerate(encoded.dictionary.to_pylist())
        }
        self._order = np.argsort(codes, kind="stable")
        self._starts = np.searchsorted(codes[self._order], np.arange(len(self._codes) + 1))

    def rows(self, formula: str) -> Rows:
        """The rows with this reduced formula, ascending."""
        code = self._codes.get(formula)
        if code is None:
            return np.empty(0, dtype=np.int64)
        return self._order[self._starts[code] : self._starts[code + 1]]


class Candidates:
    """Finds materials of a formula in microseconds, once a segment has been looked through."""

    def __init__(self) -> None:
        self._tables: weakref.WeakKeyDictionary[Segment, FormulaTable] = weakref.WeakKeyDictionary()

    def of(self, snapshot: Snapshot, formula: str) -> list[Location]:
        """Where the materials with this reduced formula are."""
        found: list[Location] = []
        for number, segment in enumerate(snapshot.segments):
            dead = set(snapshot.manifest.segments[number].dead_rows)
            rows = self._table(segment).rows(formula).tolist()
            found += [(number, row) for row in rows if row not in dead]
        return found

    def _table(self, segment: Segment) -> FormulaTable:
        table = self._tables.get(segment)
        if table is None:
            table = self._tables[segment] = FormulaTable(segment.texts("formula"))
        return table
