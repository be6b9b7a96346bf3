"""How well structures are found by their properties: top-1, top-5 and average rank in pools of candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crystalmesh_retrieval.encoders.encoder import Vectors
from crystalmesh_retrieval.training.pairs import Pair

Scores = NDArray[np.float32]
"""How well candidates fit queries, (queries, candidates), higher is better."""
Ranks = NDArray[np.int64]
Rows = NDArray[np.int64]
Scorer = Callable[[Rows, Rows], Scores]
"""Scores of some rows' queries for some rows' structures."""
Vectorizer = Callable[[Sequence[str], Sequence[str]], tuple[Vectors, Vectors]]
"""Both towers' vectors of some property texts and some structure texts."""

POOL_SIZES = (32, 1000, 1 << 62)
DRAWS = 10
TOLERANCE = 1e-6
"""Scores this close are a tie: one text encoded in two batches differs by as much."""
_BLOCK = 1024  # queries at once


@dataclass(frozen=True)
class Question:
    """What the texts say."""

    formula: bool = (
        True  # both texts; without it elements are letters in the structure's and nothing in the other
    )
    space_group: bool = True  # the property text; structure texts always have it

    def texts(self, pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
        """Queries and candidates."""
        return (
            [pair.property_text(formula=self.formula, space_group=self.space_group) for pair in pairs],
            [pair.structure_text(formula=self.formula) for pair in pairs],
        )


QUESTIONS: Mapping[str, Question] = {
    "formula": Question(),
    "noformula": Question(formula=False),
    "noformula_nospacegroup": Question(formula=False, space_group=False),
}
"""By what the reader may want to know: with everything, structure alone, and energies and gap alone."""


@dataclass(frozen=True)
class Summary:
    """The paper's columns."""

    top1: float  # share of queries, 0 to 1
    top5: float
    average_rank: float  # from 1


def summary(ranks: Ranks) -> Summary:
    return Summary(float((ranks <= 1).mean()), float((ranks <= 5).mean()), float(ranks.mean()))


def ranks_in(scores: Scores, truth: Rows, *, tolerance: float = TOLERANCE) -> Ranks:
    """The rank of each query's true candidate, from 1, (queries,).

    Pessimistic: whatever scores as high as the true candidate stands before it, a copy of it too.
    """
    own = np.take_along_axis(scores, truth[:, None], axis=1)
    return np.asarray((scores >= own - tolerance).sum(axis=1), dtype=np.int64)


def pools(rows: int, size: int, draws: int, seed: int) -> list[Rows]:
    """Per draw, all rows thrown together into pools of `size`, (pools, size); what is left over sits out.

    A pool as large as all rows is drawn once.
    """
    if size >= rows:
        return [np.arange(rows)[None, :]]
    generator = np.random.default_rng(seed)
    full = rows // size * size
    return [generator.permutation(rows)[:full].reshape(-1, size) for _ in range(draws)]


def pooled_ranks(score: Scorer, drawn: Sequence[Rows]) -> Ranks:
    """The ranks of all queries of all draws, each among the candidates of its pool."""
    ranks = [
        ranks_in(score(pool[start : start + _BLOCK], pool), np.arange(start, min(start + _BLOCK, len(pool))))
        for draw in drawn
        for pool in draw
        for start in range(0, len(pool), _BLOCK)
    ]
    return np.concatenate(ranks)


def by_cosine(queries: Vectors, candidates: Vectors) -> Scorer:
    """Scores of unit vectors (n, d)."""

    def score(asking: Rows, among: Rows) -> Scores:
        return np.asarray(queries[asking] @ candidates[among].T, dtype=np.float32)

    return score


def by_matrix(scores: Scores) -> Scorer:
    """Scores (n, n) that are known for all rows."""
    return lambda asking, among: scores[np.ix_(asking, among)]


def evaluated(
    scorer: Scorer, rows: int, *, sizes: Sequence[int] = POOL_SIZES, seed: int = 0
) -> dict[int, Summary]:
    """The paper's columns by size of the pool; a size beyond the rows means all of them."""
    return {
        min(size, rows): summary(pooled_ranks(scorer, pools(rows, min(size, rows), DRAWS, seed)))
        for size in sizes
    }


def ranks_of_pairs(vectors: Vectorizer, pairs: Sequence[Pair], question: Question) -> Ranks:
    """Ranks with all pairs as one pool."""
    queries, candidates = vectors(*question.texts(pairs))
    return pooled_ranks(by_cosine(queries, candidates), pools(len(pairs), len(pairs), 1, 0))
