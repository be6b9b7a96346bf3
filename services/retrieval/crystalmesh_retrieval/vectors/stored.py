"""Vectors in half precision, in memory or mapped from a file, searched one by one: exactly.

A component of a unit vector is off by at most 2.5e-4 of itself, a similarity of 256 dimensions by about
2e-5, and half the bytes are half the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalmesh_retrieval.encoders.encoder import Vectors
from crystalmesh_retrieval.vectors.library import Ann, faiss
from crystalmesh_retrieval.vectors.nearest import Nearest, Positions, Similarities, nothing, ordered

Halves = NDArray[np.float16]
Mask = NDArray[np.bool_]

BLOCK_ROWS = 65_536
_MANY_QUERIES = 64  # from here on, unpacking every vector once is cheaper than reading it for each query
_FEW = 500  # one row in so many is fetched by itself instead of asking every row whether it passes


class StoredVectors:
    """Vectors by position, 0 to n - 1, similar as far as their inner product is large. Threads may share it.

    `halves`, (n, dimensions), must stay as it is.
    """

    def __init__(self, halves: Halves) -> None:
        self.halves = np.require(halves, requirements="C")
        self._codes = _codes_of(self.halves)

    def __len__(self) -> int:
        return len(self.halves)

    @property
    def dimensions(self) -> int:
        return int(self.halves.shape[1])

    def at(self, positions: Positions) -> Vectors:
        """The vectors at these positions, (*positions.shape, dimensions)."""
        return unpacked(self.halves[positions])

    def blocks(self, mask: Mask | None = None) -> Iterator[tuple[Positions, Vectors]]:
        """All vectors, or those of a mask, some ten thousand at a time, with their positions, ascending."""
        for start in range(0, len(self), BLOCK_ROWS):
            rows = self.halves[start : start + BLOCK_ROWS]
            if mask is None:
                yield np.arange(start, start + len(rows)), unpacked(rows)
                continue
            passing = np.flatnonzero(mask[start : start + BLOCK_ROWS])
            if passing.size:
                yield start + passing, unpacked(rows[passing])

    def similarities(self, queries: Vectors, positions: Positions) -> Similarities:
        """Of each query to the vectors at its positions, (queries, k); whatever at -1."""
        found: Similarities = np.einsum("qkd,qd->qk", self.at(positions), queries)
        return found

    def nearest(self, queries: Vectors, limit: int, mask: Mask | None = None) -> Nearest:
        """The nearest of all vectors, or of those where the mask holds."""
        passing = len(self) if mask is None else int(np.count_nonzero(mask))
        if not passing or not limit or not len(queries):
            return nothing(len(queries), limit)
        wanted = min(limit, passing)
        if mask is not None and passing * _FEW <= len(self):
            candidates = np.tile(np.flatnonzero(mask), (len(queries), 1))
            return ordered(candidates, queries @ self.at(candidates[0]).T, limit)
        if len(queries) >= _MANY_QUERIES:
            return self._nearest_by_blocks(queries, wanted, limit, mask)
        return self._nearest_one_by_one(queries, wanted, limit, mask)

    def _nearest_one_by_one(self, queries: Vectors, wanted: int, limit: int, mask: Mask | None) -> Nearest:
        similarities, positions = self._codes.search(queries, wanted, params=selection(mask))
        return ordered(positions, similarities, limit)

    def _nearest_by_blocks(self, queries: Vectors, wanted: int, limit: int, mask: Mask | None) -> Nearest:
        best = nothing(len(queries), wanted)
        for rows, block in self.blocks(mask):
            similarities, found = faiss.knn(
                queries, block, min(wanted, len(block)), faiss.METRIC_INNER_PRODUCT
            )
            best = ordered(
                np.concatenate([best.positions, rows[found]], axis=1),
                np.concatenate([best.similarities, similarities], axis=1),
                wanted,
            )
        return ordered(best.positions, best.similarities, limit)


def unpacked(halves: Halves) -> Vectors:
    """The same numbers, all finite, in single precision; three times as fast as `astype` for a few."""
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= (
        13  # the fraction and the exponent are where they belong, and three copies of the sign are too many
    )
    bits &= ~0x7000_0000
    numbers = bits.view(np.float32)
    numbers *= np.float32(2.0**112)  # exponents of halves count from -15, of singles from -127
    return numbers


def selection(mask: Mask | None) -> Any:
    """What restricts a search of faiss to the positions of a mask."""
    return None if mask is None else faiss.SearchParameters(sel=selector(mask))


def selector(mask: Mask) -> Any:
    """The positions where a mask holds, as faiss asks for them while it searches."""
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def _codes_of(halves: Halves) -> Ann:
    """An index of faiss that reads the vectors where they are; `halves` must outlive it."""
    codes = faiss.IndexScalarQuantizer(
        halves.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    if halves.size:
        content = halves.reshape(-1).view(np.uint8)
        # The owner of an index's own codes is nobody, as it should be for memory that is numpy's.
        nobody = codes.codes.owner
        codes.codes = faiss.MaybeOwnedVectorUInt8.create_view(faiss.swig_ptr(content), content.size, nobody)
        codes.ntotal = len(halves)
    return codes
