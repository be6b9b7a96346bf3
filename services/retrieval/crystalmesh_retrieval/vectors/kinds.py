"""The ways to find near vectors, and which of them to take."""

from __future__ import annotations

from enum import StrEnum


class IndexKind(StrEnum):
    """The kinds of the API, by name."""

    FLAT = "flat"
    """Compares with every vector: exact."""
    HNSW = "hnsw"
    """A graph over vectors in 8 bits per coordinate: fast, slow to build, needs the most memory."""
    IVF_SQ8 = "ivf_sq8"
    """Inverted lists of vectors in 8 bits per coordinate: quick to build, next to no memory of its own."""
    IVF_PQ = "ivf_pq"
    """Inverted lists of product-quantised vectors, a byte for four coordinates: needs the least memory."""


FLAT_BYTES = 32 * 2**20
"""Up to here, about 65,000 vectors of 256 dimensions, one search of all takes 3 ms."""
SQ8_BYTES = 5 * 2**30
"""Up to here, 20 million vectors of 256 dimensions, a byte per coordinate stays in memory."""


def choose_kind(row_count: int, dimensions: int) -> IndexKind:
    """The kind for so many vectors."""
    if row_count * dimensions * 2 <= FLAT_BYTES:
        return IndexKind.FLAT
    return IndexKind.IVF_SQ8 if row_count * dimensions <= SQ8_BYTES else IndexKind.IVF_PQ


FEWEST_FOR_ANN = 1_000
"""Fewer vectors are searched exactly, whatever kind was asked for: an index would find nothing to save."""
