from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_retrieval.vectors import index as indexes
from crystalmesh_retrieval.vectors.building import build_ann
from crystalmesh_retrieval.vectors.index import Tuning, VectorIndex, open_ann
from crystalmesh_retrieval.vectors.kinds import FLAT_BYTES, IndexKind, choose_kind
from crystalmesh_retrieval.vectors.library import faiss
from tests.retrieval.vectors.clustered import clustered, stored

ANN_KINDS = [kind for kind in IndexKind if kind is not IndexKind.FLAT]
ROWS = 4000
QUERIES = clustered(100, seed=1)


@pytest.fixture(scope="module", params=ANN_KINDS)
def index(request: pytest.FixtureRequest) -> VectorIndex:
    """An index of each kind over 4,000 vectors of 16 dimensions."""
    vectors = stored(clustered(ROWS))
    ann, tuning = build_ann(vectors, request.param, clustered(200, seed=2))
    return VectorIndex(vectors, ann, tuning)


def recall(index: VectorIndex, limit: int, mask: np.ndarray | None = None) -> float:
    """Fraction of the true nearest that are found, of all kinds as near."""
    found = index.search(QUERIES, limit, mask)
    exact = index.vectors.nearest(QUERIES, limit, mask)
    return float((found.similarities >= exact.similarities[:, -1:] - 2e-6).mean())


def test_an_index_finds_what_it_says(index: VectorIndex) -> None:
    """At least the promised 95 % of the ten nearest, as measured when it was built, also of other queries."""
    assert index.recall_at_10 >= 0.95
    assert recall(index, 10) >= 0.95
    assert recall(index, 100) >= 0.9


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_filters_act_inside_the_search(
    index: VectorIndex, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """Every answer passes, the limit is filled, and as many are found as without a filter."""
    monkeypatch.setattr(indexes, "EXACT_ROWS", 100)
    mask = np.random.default_rng(3).random(ROWS) < share
    found = index.search(QUERIES, 30, mask)
    assert mask[found.positions].all()
    assert all(len(set(row)) == 30 for row in found.positions.tolist())
    assert (np.diff(found.similarities, axis=1) <= 0).all()
    assert recall(index, 10, mask) >= 0.9


def test_a_filter_may_pass_fewer_than_asked_for(index: VectorIndex) -> None:
    """Then all of these are found, and no others."""
    mask = np.zeros(ROWS, dtype=bool)
    assert (index.search(QUERIES[:2], 5, mask).positions == -1).all()
    mask[[5, 3999]] = True
    found = index.search(QUERIES[:2], 5, mask).positions
    assert [sorted(row) for row in found.tolist()] == [[-1, -1, -1, 5, 3999]] * 2


def test_what_an_index_misses_is_found_by_looking(
    index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter that passes only what lies far from the query still fills the limit, exactly."""
    monkeypatch.setattr(indexes, "EXACT_ROWS", 0)
    monkeypatch.setattr(VectorIndex, "_is_dear", lambda *_: False)
    query = QUERIES[:1]
    far = index.vectors.nearest(query, ROWS).positions[0, -50:]
    mask = np.zeros(ROWS, dtype=bool)
    mask[far] = True
    found = index.search(query, 50, mask)
    assert sorted(found.positions[0].tolist()) == sorted(far.tolist())


def test_similarities_are_exact_whatever_the_kind(index: VectorIndex) -> None:
    """They are those of the vectors themselves, in order, and not of their shortened forms."""
    found = index.search(QUERIES, 10)
    products = np.einsum("qkd,qd->qk", index.vectors.at(found.positions), QUERIES)
    np.testing.assert_allclose(found.similarities, products, atol=2e-6)
    assert (np.diff(found.similarities, axis=1) <= 0).all()


def test_batched_equals_single(index: VectorIndex) -> None:
    """Threads, batches and the company of a query change nothing."""
    together = index.search(QUERIES, 10)
    two = VectorIndex(index.vectors, index.ann, index.tuning, threads=2).search(QUERIES, 10)
    assert (two.positions == together.positions).all()
    with ThreadPoolExecutor(4) as pool:
        single = list(pool.map(lambda n: index.search(QUERIES[n : n + 1], 10).positions[0], range(100)))
    assert (np.array(single) == together.positions).all()


def test_an_index_is_mapped_from_its_file(index: VectorIndex, tmp_path: Path) -> None:
    """It finds the same, and outlives its name."""
    path = tmp_path / "index.faiss"
    faiss.write_index(index.ann, str(path))
    mapped = VectorIndex(index.vectors, open_ann(path), index.tuning)
    path.unlink()
    assert (mapped.search(QUERIES, 10).positions == index.search(QUERIES, 10).positions).all()


def test_without_an_index_a_search_is_exact() -> None:
    """And says so."""
    flat = VectorIndex(stored(clustered(500)))
    assert (flat.kind, flat.recall_at_10) == (IndexKind.FLAT, 1.0)
    assert (flat.search(QUERIES, 5).positions == flat.vectors.nearest(QUERIES, 5).positions).all()


def test_an_exact_search_needs_no_index() -> None:
    """Building one is refused."""
    with pytest.raises(InvalidFieldError, match="needs no index"):
        build_ann(stored(clustered(50)), IndexKind.FLAT)


def test_effort_grows_with_the_task() -> None:
    """With the hits asked for, and the fewer pass a filter; for the ten nearest of all it is as tuned."""
    tuning = Tuning(IndexKind.HNSW, 20, 2.0, 0.5, 1.0, 0.96)
    assert tuning.effort_for(3, 1.0) == tuning.effort_for(10, 1.0) == 20
    assert tuning.effort_for(1000, 1.0) == 200
    assert tuning.effort_for(10, 0.1) == 200


def test_the_kind_follows_from_the_size() -> None:
    """Small ones are searched exactly, large ones by lists, and what would not fit by shortened vectors."""
    largest_flat = FLAT_BYTES // 512
    assert choose_kind(0, 256) is IndexKind.FLAT
    assert choose_kind(largest_flat, 256) is IndexKind.FLAT
    assert choose_kind(largest_flat + 1, 256) is IndexKind.IVF_SQ8
    assert choose_kind(3_000_000, 256) is IndexKind.IVF_SQ8
    assert choose_kind(100_000_000, 256) is IndexKind.IVF_PQ
