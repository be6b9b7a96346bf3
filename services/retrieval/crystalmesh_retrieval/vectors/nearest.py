"""What a search answers with, and the order of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DECIMALS = 6
"""Of a similarity. What is beyond is noise of the arithmetic, and equal vectors must be equally near."""

Positions = NDArray[np.int64]
Similarities = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Nearest:
    """By query, the nearest vectors first, and of equally near ones the first."""

    positions: Positions  # (queries, limit), -1 where there are no more
    similarities: Similarities  # (queries, limit), -inf where there are no more


def nothing(queries: int, limit: int) -> Nearest:
    """The answer where nothing passes."""
    return Nearest(
        np.full((queries, limit), -1, dtype=np.int64), np.full((queries, limit), -np.inf, dtype=np.float32)
    )


def ordered(positions: Positions, similarities: Similarities, limit: int) -> Nearest:
    """The `limit` nearest of some candidates, (queries, candidates), of which -1 is none."""
    rounded = np.where(positions < 0, -np.inf, np.round(similarities, DECIMALS)).astype(np.float32)
    order = np.lexsort((positions, -rounded), axis=-1)[:, :limit]
    nearest = Nearest(
        np.take_along_axis(positions, order, axis=1), np.take_along_axis(rounded, order, axis=1)
    )
    return nearest if order.shape[1] == limit else joined([nearest, nothing(len(positions), limit)], limit)


def joined(parts: Sequence[Nearest], limit: int) -> Nearest:
    """The `limit` nearest of several searches for the same queries."""
    positions = np.concatenate([part.positions for part in parts], axis=1)
    return ordered(positions, np.concatenate([part.similarities for part in parts], axis=1), limit)
