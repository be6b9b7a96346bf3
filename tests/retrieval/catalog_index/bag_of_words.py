"""An encoder that needs no weights, and catalogs whose texts it reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from crystalmesh_retrieval.catalog.material import MaterialInput
from crystalmesh_retrieval.encoders.encoder import Embeddings, EncoderInfo, Tower, Vectors
from tests.retrieval.materials import salts

DIMENSIONS = 32


INFO = EncoderInfo("bag-of-words", "0123456789ab", DIMENSIONS, 100, "crystalmesh")


@dataclass
class BagOfWords:
    """The sum of a random direction for each word, of length 1; it remembers what it was given."""

    info: EncoderInfo = INFO
    read: list[str] = field(default_factory=list)

    def encode(self, tower: Tower, texts: Sequence[str]) -> Embeddings:
        assert all(texts)
        if tower is Tower.STRUCTURE:
            self.read += texts
        sums = np.array([np.sum([_direction(word) for word in text.split()], axis=0) for text in texts])
        vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return Embeddings(vectors.astype(np.float32), np.zeros(len(texts), dtype=bool))

    def points(self, *texts: str) -> Vectors:
        """The points of some texts."""
        return self.encode(Tower.PROPERTIES, texts).vectors


def _direction(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(DIMENSIONS)


def told(material: MaterialInput, text: str) -> MaterialInput:
    """The material with a text of its own."""
    return replace(material, structure_description=text)


def text_of(number: int) -> str:
    """The text of salt-0, salt-1, …: in families of seven, and all different."""
    return f"family{number // 7} " * 4 + f"member{number}"


def told_salts(count: int, *, start: int = 0) -> list[MaterialInput]:
    """Materials salt-0, salt-1, …, each with its text."""
    return [
        told(material, text_of(number))
        for number, material in enumerate(salts(count, start=start), start=start)
    ]


def index_files(catalog: Path) -> set[str]:
    """The files of the only index of a catalog that hold vectors or find them."""
    (folder,) = (catalog / "index").iterdir()
    return {path.name for path in folder.iterdir() if path.suffix in {".vectors", ".faiss"}}
