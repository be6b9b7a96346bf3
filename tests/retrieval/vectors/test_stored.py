from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_retrieval.vectors import stored as storing
from crystalmesh_retrieval.vectors.stored import Mask, StoredVectors, unpacked
from tests.retrieval.vectors.clustered import clustered, stored, unit


def brute_force(vectors: StoredVectors, queries: np.ndarray, mask: Mask) -> tuple[np.ndarray, np.ndarray]:
    """All that pass, the nearest first, in double precision: positions and similarities by query."""
    passing = np.flatnonzero(mask)
    similarities = queries.astype(float) @ vectors.at(passing).astype(float).T
    order = np.argsort(-similarities, axis=1, kind="stable")
    return passing[order], np.take_along_axis(similarities, order, axis=1)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 80),
    queries=st.sampled_from([1, 3, 70]),
    limit=st.integers(1, 100),
    share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_nearest_are_those_of_brute_force(
    rows: int, queries: int, limit: int, share: float, seed: int
) -> None:
    """Of any vectors, under any mask, in order, as many as there are, and -1 beyond."""
    generator = np.random.default_rng(seed)
    vectors = stored(unit(generator.standard_normal((rows, 8))))
    asked = unit(generator.standard_normal((queries, 8)))
    mask = generator.random(rows) < share
    found = vectors.nearest(asked, limit, mask)
    positions, similarities = brute_force(vectors, asked, mask)
    there = min(limit, int(mask.sum()))
    assert found.positions.shape == found.similarities.shape == (queries, limit)
    assert (found.positions[:, there:] == -1).all()
    assert np.isneginf(found.similarities[:, there:]).all()
    assert mask[found.positions[:, :there]].all()
    assert all(len(set(row.tolist())) == there for row in found.positions[:, :there])
    np.testing.assert_allclose(found.similarities[:, :there], similarities[:, :there], atol=3e-6)
    # Where two are apart by more than the noise, the order is theirs.
    apart = np.diff(similarities, axis=1, prepend=3.0, append=-3.0) < -1e-5
    clear = (apart[:, :-1] & apart[:, 1:])[:, :there]
    assert (found.positions[:, :there][clear] == positions[:, :there][clear]).all()


@pytest.mark.parametrize("queries", [1, 100])
@pytest.mark.parametrize("masked", [False, True])
def test_of_equally_near_ones_the_first_come_first(queries: int, *, masked: bool) -> None:
    """Copies of one vector come in their order, also where there are more than asked for."""
    vectors = clustered(3000)
    vectors[500:2500:20] = vectors[7]
    mask = np.arange(3000) % 40 != 0 if masked else None
    found = stored(vectors).nearest(np.repeat(vectors[7:8], queries, axis=0), 30, mask)
    copies = [7, *(n for n in range(500, 2500, 20) if not masked or n % 40)]
    assert (found.positions == copies[:30]).all()


def test_unpacking_loses_nothing() -> None:
    """Every finite half is the same single: zeros of both signs, the smallest, the largest."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert (unpacked(halves).view(np.uint32) == halves.astype(np.float32).view(np.uint32)).all()


def test_blocks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors come a block at a time with their positions, those of a mask alone where there is one."""
    monkeypatch.setattr(storing, "BLOCK_ROWS", 100)
    vectors = stored(clustered(250))
    assert [len(block) for _, block in vectors.blocks()] == [100, 100, 50]
    mask = np.zeros(250, dtype=bool)
    mask[[3, 240, 249]] = True
    assert [positions.tolist() for positions, _ in vectors.blocks(mask)] == [[3], [240, 249]]
    found = vectors.nearest(clustered(80, seed=1), 5, mask)
    assert set(found.positions.ravel().tolist()) == {-1, 3, 240, 249}


def test_nothing_is_found_in_nothing() -> None:
    """No vectors, no queries and no limit are answered in their shape."""
    empty = stored(np.zeros((0, 16)))
    some = stored(clustered(5))
    assert (empty.nearest(clustered(2), 3).positions == -1).all()
    assert some.nearest(clustered(0), 3).positions.shape == (0, 3)
    assert some.nearest(clustered(2), 0).positions.shape == (2, 0)


def test_vectors_are_searched_where_they_lie(tmp_path: Path) -> None:
    """A mapped file is searched as it is, by several threads at once, and outlives its name."""
    vectors = clustered(2000)
    path = tmp_path / "vectors"
    vectors.astype(np.float16).tofile(path)
    mapped = StoredVectors(np.memmap(path, dtype=np.float16, mode="r", shape=vectors.shape))
    path.unlink()
    expected = stored(vectors).nearest(vectors[:64], 10)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: mapped.nearest(vectors[n : n + 1], 10), range(64)))
    assert [answer.positions[0].tolist() for answer in found] == expected.positions.tolist()
    assert mapped.similarities(vectors[:1], np.array([[0]])) == pytest.approx(1, abs=1e-3)
