from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalmesh_retrieval.training.evaluation import (
    DRAWS,
    by_cosine,
    by_matrix,
    evaluated,
    pooled_ranks,
    pools,
    ranks_in,
    summary,
)

SCORES = np.array([[3, 2, 1], [5, 4, 6], [1, 1, 1]], dtype=np.float32)


def test_ranks_by_hand() -> None:
    """First, third, and last of a tie: whatever scores as high stands before the true one."""
    assert ranks_in(SCORES, np.arange(3)).tolist() == [1, 3, 3]


def test_columns_by_hand() -> None:
    """Top-1, top-5 and average rank of ranks 1, 3, 6, 10."""
    found = summary(np.array([1, 3, 6, 10]))
    assert (found.top1, found.top5, found.average_rank) == (0.25, 0.5, 5.0)


def test_equal_texts_tie() -> None:
    """A copy of the true structure counts against it, though rounding would favour either."""
    queries = np.array([[0.6, 0.8], [1.0, 0.0]], dtype=np.float32)
    copies = np.array([[0.6, 0.8], [0.6, 0.8 + 5e-8]], dtype=np.float32)
    assert pooled_ranks(by_cosine(queries, copies), pools(2, 2, 1, 0)).tolist() == [2, 2]


@given(st.integers(2, 200), st.integers(2, 64), st.integers(0, 3))
def test_pools_hold_each_row_at_most_once(rows: int, size: int, seed: int) -> None:
    """A draw is disjoint pools of one size, the same for the same seed, with fewer than a pool left out."""
    drawn = pools(rows, size, 2, seed)
    for draw, again in zip(drawn, pools(rows, size, 2, seed), strict=True):
        assert np.array_equal(draw, again)
        assert len(set(draw.ravel().tolist())) == draw.size
        assert draw.size > rows - size
        assert draw.shape[1] == min(size, rows)


def test_whole_split_is_one_pool() -> None:
    """All rows are one pool, drawn once, and blocks of queries do not change a rank."""
    scores = np.random.default_rng(0).random((1500, 1500), dtype=np.float32)
    found = evaluated(by_matrix(scores), 1500)
    assert list(found) == [32, 1000, 1500]
    expected = summary((scores >= scores.diagonal()[:, None] - 1e-6).sum(axis=1))
    assert found[1500] == expected


def test_chance_is_chance() -> None:
    """Scores at random find one in 32 in a pool of 32, and the average rank is in the middle."""
    scores = np.random.default_rng(1).random((640, 640), dtype=np.float32)
    found = evaluated(by_matrix(scores), 640)[32]
    assert found.top1 == pytest.approx(1 / 32, abs=0.01)
    assert found.average_rank == pytest.approx(16.5, abs=1.5)
    assert DRAWS >= 5
