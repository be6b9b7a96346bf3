"""Builds an index over vectors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_retrieval.encoders.encoder import Vectors
from crystalmesh_retrieval.vectors.index import Tuning, VectorIndex
from crystalmesh_retrieval.vectors.kinds import IndexKind
from crystalmesh_retrieval.vectors.library import Ann, faiss
from crystalmesh_retrieval.vectors.stored import StoredVectors
from crystalmesh_retrieval.vectors.tuning import tune

Progress = Callable[[str, int, int], None]
"""Told of what is being done, how much of it is done, and of how much."""

_SEED = 20261121
_TRAINING_PER_LIST = 40
_LINKS, _BUILD_EFFORT = 16, 80  # of HNSW: links of a vector, and candidates while it is linked
_ROUNDS = 6  # of k-means


def build_ann(
    vectors: StoredVectors,
    kind: IndexKind,
    queries: Vectors | None = None,
    *,
    threads: int = 1,
    progress: Progress = lambda *_: None,
) -> tuple[Ann, Tuning]:
    """An index over the vectors, and how to search it for the recall that is promised.

    Tuned for `queries` as searches will have them, (n, dimensions), and for its own vectors where these are
    few. Raises InvalidFieldError for the kind that needs no index.
    """
    if kind is IndexKind.FLAT:
        raise InvalidFieldError("an exact search needs no index", field="kind")
    faiss.omp_set_num_threads(threads)
    ann = _empty(kind, len(vectors), vectors.dimensions)
    progress("training the index", 0, 1)
    _train(ann, vectors)
    for positions, block in vectors.blocks():
        progress("building the index", int(positions[0]), len(vectors))
        ann.add(block)
    progress("tuning the index", 0, 1)
    nobody = np.zeros((0, vectors.dimensions), dtype=np.float32)
    tuning = tune(VectorIndex(vectors, ann, threads=threads), kind, nobody if queries is None else queries)
    progress("tuning the index", 1, 1)
    return ann, tuning


def _empty(kind: IndexKind, rows: int, dimensions: int) -> Ann:
    metric = faiss.METRIC_INNER_PRODUCT
    eight_bits = faiss.ScalarQuantizer.QT_8bit
    if kind is IndexKind.HNSW:
        graph = faiss.IndexHNSWSQ(dimensions, eight_bits, _LINKS, metric)
        graph.hnsw.efConstruction = _BUILD_EFFORT
        return graph
    lists = _list_count(rows)
    coarse = faiss.IndexFlatIP(dimensions)
    if kind is IndexKind.IVF_SQ8:
        ivf = faiss.IndexIVFScalarQuantizer(coarse, dimensions, lists, eight_bits, metric)
    else:
        # A byte for four coordinates, as far as these can be divided so.
        parts = max(parts for parts in range(1, max(2, dimensions // 4 + 1)) if dimensions % parts == 0)
        ivf = faiss.IndexIVFPQ(coarse, dimensions, lists, parts, min(8, int(math.log2(rows / 4))), metric)
        ivf.pq.cp.niter, ivf.pq.cp.max_points_per_centroid = _ROUNDS, _TRAINING_PER_LIST
        ivf.pq.cp.min_points_per_centroid = 1
    ivf.cp.niter, ivf.cp.seed = _ROUNDS, _SEED
    ivf.cp.spherical = True
    ivf.cp.min_points_per_centroid = 1  # so that it does not warn of small collections
    return ivf


def _list_count(rows: int) -> int:
    """The power of two next to 2.5 times the root of the rows: choosing lists costs about as reading them."""
    return int(2 ** max(0, round(math.log2(2.5 * rows**0.5))))


def _train(ann: Ann, vectors: StoredVectors) -> None:
    count = min(len(vectors), _TRAINING_PER_LIST * max(256, getattr(ann, "nlist", 0)))
    generator = np.random.default_rng(_SEED)
    sample = np.sort(generator.choice(len(vectors), count, replace=False))
    ann.train(vectors.at(sample))
