"""Vectors in clusters, as those of texts are."""

from __future__ import annotations

import numpy as np

from crystalmesh_retrieval.encoders.encoder import Vectors
from crystalmesh_retrieval.vectors.stored import StoredVectors


def unit(vectors: np.ndarray) -> Vectors:
    """Each of length 1."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


def clustered(count: int, dimensions: int = 16, *, seed: int = 0) -> Vectors:
    """So many unit vectors around 40 centres, (count, dimensions)."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((40, dimensions))
    around = generator.standard_normal((count, dimensions))
    return unit(centres[generator.integers(0, 40, count)] + 0.5 * around)


def stored(vectors: np.ndarray) -> StoredVectors:
    return StoredVectors(vectors.astype(np.float16))
