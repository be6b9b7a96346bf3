"""The nearest vectors through an index: faster than exact, and exact where that is the better way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crystalmesh_retrieval.encoders.encoder import Vectors
from crystalmesh_retrieval.vectors.kinds import IndexKind
from crystalmesh_retrieval.vectors.library import Ann, faiss
from crystalmesh_retrieval.vectors.nearest import Nearest, ordered
from crystalmesh_retrieval.vectors.stored import Mask, StoredVectors, selector

NEIGHBOURS = 10
"""Of so many nearest, an index says what fraction it finds."""

EXACT_ROWS = 20_000
"""Where no more pass a filter, each of them is looked at: 3 ms in a million, and right."""

_HNSW_STEP = 100  # vectors are looked at one by one in the time that one more candidate of HNSW takes


@dataclass(frozen=True)
class Tuning:
    """How an index of a kind is searched, and how well."""

    kind: IndexKind
    effort: int  # lists that are read (IVF), or candidates that are kept (HNSW), for the ten nearest
    candidates: float  # that are compared exactly afterwards, as a multiple of those asked for
    growth_by_limit: float  # the effort grows with this power of the hits asked for
    growth_by_filter: float  # and falls with this power of the share that passes a filter
    recall_at_10: float  # fraction of the true ten nearest among those found

    def effort_for(self, limit: int, share: float) -> int:
        """What finds as large a part of the `limit` nearest of those that pass, a share of all."""
        by_limit = math.pow(max(1.0, limit / NEIGHBOURS), self.growth_by_limit)
        return math.ceil(self.effort * by_limit / math.pow(share, self.growth_by_filter))


class VectorIndex:
    """Vectors by position with an index over them, or without one. Threads may share it.

    A search uses `threads` cores where it has several queries.
    """

    def __init__(
        self,
        vectors: StoredVectors,
        ann: Ann = None,
        tuning: Tuning | None = None,
        *,
        threads: int = 1,
    ) -> None:
        self.vectors = vectors
        self.ann = ann
        self.tuning = tuning
        self.threads = threads

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def kind(self) -> IndexKind:
        return IndexKind.FLAT if self.tuning is None else self.tuning.kind

    @property
    def recall_at_10(self) -> float:
        """Fraction of the true ten nearest that a search finds, as measured when it was built."""
        return 1.0 if self.tuning is None else self.tuning.recall_at_10

    def search(self, queries: Vectors, limit: int, mask: Mask | None = None) -> Nearest:
        """The nearest of all vectors, or of those where the mask holds.

        Always `limit` of them where there are as many. Similarities are exact whatever the kind.
        """
        queries = np.require(queries, dtype=np.float32, requirements="C")
        # For the calling thread alone. One query is one thread's work, and waiting for another is not free.
        faiss.omp_set_num_threads(max(1, min(self.threads, len(queries))))
        passing = len(self) if mask is None else int(np.count_nonzero(mask))
        wanted = min(limit, passing)
        if self.tuning is None or not wanted or not len(queries):
            return self.vectors.nearest(queries, limit, mask)
        effort = self.tuning.effort_for(wanted, passing / len(self))
        if mask is not None and (passing <= EXACT_ROWS or self._is_dear(effort, passing)):
            return self.vectors.nearest(queries, limit, mask)
        candidates = round(wanted * self.tuning.candidates)
        nearest = self.approximately(queries, limit, mask, effort=effort, candidates=candidates)
        short = np.flatnonzero(nearest.positions[:, wanted - 1] < 0)
        if short.size:
            exact = self.vectors.nearest(queries[short], limit, mask)
            nearest.positions[short], nearest.similarities[short] = exact.positions, exact.similarities
        return nearest

    def approximately(
        self, queries: Vectors, limit: int, mask: Mask | None = None, *, effort: int, candidates: int
    ) -> Nearest:
        """What the index finds with so much effort, of which so many candidates are compared exactly."""
        candidates = min(max(candidates, limit), len(self))
        parameters = search_parameters(self.ann, effort, candidates, mask)
        _, positions = self.ann.search(queries, candidates, params=parameters)
        return ordered(positions, self.vectors.similarities(queries, positions), limit)

    def _is_dear(self, effort: int, passing: int) -> bool:
        """Whether it costs less to look at all that pass."""
        lists: int = getattr(self.ann, "nlist", 0)
        return 2 * effort > lists if lists else effort * _HNSW_STEP > passing


def search_parameters(ann: Ann, effort: int, candidates: int, mask: Mask | None = None) -> Any:
    """How to search an index with an effort, in faiss's terms."""
    chosen = {} if mask is None else {"sel": selector(mask)}
    if isinstance(ann, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=max(effort, candidates), **chosen)
    return faiss.SearchParametersIVF(nprobe=max(1, min(effort, ann.nlist)), **chosen)


def open_ann(path: Path) -> Ann:
    """An index that faiss has written, mapped: its pages come in as searches touch them."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
