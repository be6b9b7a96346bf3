"""A small encoder, so that the server's own tests need no torch."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crystalmesh_retrieval.encoders.encoder import Embeddings, Encoder, EncoderInfo, Tower
from crystalmesh_retrieval.search.indexer import CatalogIndexer
from crystalmesh_retrieval.search.served import IndexedCatalog, Progress

DIMENSIONS = 64
MAX_TOKENS = 256
INFO = EncoderInfo("words", "000000000001", DIMENSIONS, MAX_TOKENS, "crystalmesh", "Counts words.")


class WordEncoder:
    """Texts with the same words are near: each word adds to one of 64 coordinates."""

    info = INFO

    def __init__(self) -> None:
        self.batches: list[tuple[Tower, list[str]]] = []
        self.gate = threading.Event()  # closed, encoding stands still
        self.gate.set()

    def encode(self, tower: Tower, texts: Sequence[str]) -> Embeddings:
        self.batches.append((tower, list(texts)))
        assert self.gate.wait(60)
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        vectors = np.full((len(texts), DIMENSIONS), 1e-3, dtype=np.float32)
        for row, found in enumerate(words):
            for word in found[:MAX_TOKENS]:
                vectors[row, zlib.crc32(word.encode()) % DIMENSIONS] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(vectors, np.array([len(found) > MAX_TOKENS for found in words]))


class CountingIndexer(CatalogIndexer):
    """Counts the times that a catalog was encoded."""

    def __init__(self) -> None:
        super().__init__(threads=1)
        self.builds = 0

    def build(
        self, folder: Path, encoder: Encoder, before: IndexedCatalog | None, progress: Progress
    ) -> IndexedCatalog:
        self.builds += 1
        return super().build(folder, encoder, before, progress)
