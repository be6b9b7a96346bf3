"""Finds out how to search an index, and how well it is searched so."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from crystalmesh_retrieval.encoders.encoder import Vectors
from crystalmesh_retrieval.vectors.index import NEIGHBOURS, Tuning, VectorIndex
from crystalmesh_retrieval.vectors.kinds import IndexKind
from crystalmesh_retrieval.vectors.nearest import Positions, Similarities
from crystalmesh_retrieval.vectors.stored import Mask, StoredVectors

RECALL = 0.97
"""What an index is tuned to: the 0.95 that is promised, and what a sample of queries may be off by."""

SAMPLE = 512
"""Queries of either sort; an index is tuned on one half of them, and its recall measured on the other."""

_SEED = 20261121
_MANY = 100  # hits, to see how the effort grows with them
_SHARE = 0.1  # of the vectors, to see how it grows under a filter
_EQUAL = 2e-6  # similarities that differ by less are equal
_MOST_CANDIDATES = 2048
_CANDIDATES = {IndexKind.HNSW: 2.0, IndexKind.IVF_SQ8: 1.5, IndexKind.IVF_PQ: 10.0}


@dataclass(frozen=True, eq=False)
class Questions:
    """Queries whose answers are known."""

    queries: Vectors  # (n, d)
    selves: Positions  # (n,), the vector that the query itself is, which does not count; -1: none
    similarities: Similarities  # (n, limit), of the nearest others
    mask: Mask | None = None  # what the others must be among

    @property
    def limit(self) -> int:
        return int(self.similarities.shape[1])

    def some(self, part: slice, limit: int) -> Questions:
        """Some of them, asked for fewer answers."""
        return Questions(self.queries[part], self.selves[part], self.similarities[part, :limit], self.mask)


def questions(
    vectors: StoredVectors, asked: Vectors, selves: Positions, limit: int, mask: Mask | None = None
) -> Questions:
    """Queries with the similarities of their `limit` nearest, found by looking at each vector."""
    nearest = vectors.nearest(asked, limit + 1, mask)
    similarities = np.where(nearest.positions == selves[:, None], -np.inf, nearest.similarities)
    return Questions(asked, selves, -np.sort(-similarities, axis=1)[:, :limit], mask)


def recall(index: VectorIndex, known: Questions, tuning: Tuning) -> float:
    """Fraction of the nearest that an index finds with a tuning; one that is just as near counts as well.

    Queries that are vectors of the index and others are told apart, and those count that it finds less for.
    """
    candidates = round(known.limit * tuning.candidates)
    nearest = index.approximately(
        known.queries, known.limit + 1, known.mask, effort=tuning.effort, candidates=candidates
    )
    last = known.similarities[:, -1:] - _EQUAL
    good = (nearest.similarities >= last) & (nearest.positions != known.selves[:, None]) & np.isfinite(last)
    found = np.minimum(good.sum(axis=1), known.limit)
    there = np.isfinite(known.similarities).sum(axis=1)
    groups = [group for group in (known.selves < 0, known.selves >= 0) if there[group].any()]
    return min((float(found[group].sum() / there[group].sum()) for group in groups), default=1.0)


def tune(index: VectorIndex, kind: IndexKind, queries: Vectors) -> Tuning:
    """The least effort with which an index finds RECALL of the nearest, and the recall that it then has.

    For `queries` as for vectors of its own. Tuned on one half of each, and measured on the other.
    """
    generator = np.random.default_rng(_SEED)
    asked, selves = _sample(index.vectors, queries, generator)
    known = questions(index.vectors, asked, selves, _MANY)
    tuned_on, measured_on = slice(0, None, 2), slice(1, None, 2)
    # A graph keeps at least as many candidates as it is asked for.
    least = round(_CANDIDATES[kind] * NEIGHBOURS) if kind is IndexKind.HNSW else 1
    base = Tuning(kind, least, _CANDIDATES[kind], 0.5, 1.0, 0.0)
    base = _least(index, base, known.some(tuned_on, NEIGHBOURS))
    many = _least(index, base, known.some(slice(0, None, 4), _MANY))
    mask = generator.random(len(index)) < _SHARE
    few = questions(index.vectors, asked[::4], selves[::4], NEIGHBOURS, mask)
    filtered = _least(index, base, few)
    tuning = replace(
        base,
        growth_by_limit=math.log(many.effort / base.effort, _MANY / NEIGHBOURS),
        growth_by_filter=math.log(filtered.effort / base.effort, 1 / _SHARE),
    )
    measured = recall(index, known.some(measured_on, NEIGHBOURS), tuning)
    return replace(tuning, recall_at_10=round(measured, 4))


def _sample(
    vectors: StoredVectors, queries: Vectors, generator: np.random.Generator
) -> tuple[Vectors, Positions]:
    """Queries in any order, and which vectors they are, -1: none."""
    given = queries[generator.permutation(len(queries))[:SAMPLE]]
    own = generator.choice(len(vectors), min(len(vectors), SAMPLE), replace=False)
    asked = np.concatenate([given, vectors.at(own)])
    selves = np.concatenate([np.full(len(given), -1), own])
    order = generator.permutation(len(asked))
    return np.ascontiguousarray(asked[order]), selves[order]


def _least(index: VectorIndex, start: Tuning, known: Questions) -> Tuning:
    """The tuning with the least effort, from that of the start on, that reaches RECALL.

    Where a quarter of all that there is does not, more candidates are compared; where nothing helps, it is
    the one that looks at the most.
    """
    everything: int = getattr(index.ann, "nlist", _MOST_CANDIDATES)
    tuning, most = start, max(start.effort, everything // 4)

    def reaches(effort: int) -> bool:
        return recall(index, known, replace(tuning, effort=effort)) >= RECALL

    low, high = start.effort - 1, start.effort
    while not reaches(high):
        if high < most:
            low, high = high, min(most, 2 * high)
        elif tuning.candidates * NEIGHBOURS < _MOST_CANDIDATES:
            tuning = replace(tuning, candidates=2 * tuning.candidates)
        elif most < everything:
            most = everything
        else:
            return replace(tuning, effort=most)
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return replace(tuning, effort=high)
