"""What an encoder is: two towers, one that reads properties and one that reads structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Tower(StrEnum):
    """One of the two halves of an encoder, by the name of its folder."""

    PROPERTIES = "properties"
    """Reads descriptions of properties: what queries are made of."""
    STRUCTURE = "structure"
    """Reads descriptions of structures: what catalogs are indexed by."""


@dataclass(frozen=True)
class EncoderInfo:
    """Which encoder it is. Vectors of two encoders compare only where name and version are equal."""

    name: str  # for example "compact-t5"
    version: str  # follows from its weights and tokenizers, 12 hexadecimal digits
    dimensions: int
    max_tokens: int  # of a text; what is beyond is cut off
    describer: str  # that wrote the texts it was trained on, for example "crystalmesh"
    description: str = ""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The points of some texts, in their order."""

    vectors: Vectors  # (n, dimensions), each of length 1
    truncated: NDArray[np.bool_]  # (n,), whether the text was longer than the encoder reads


class Encoder(Protocol):
    """Both towers on one device. Not for several threads at once: its worker owns it."""

    @property
    def info(self) -> EncoderInfo:
        """Which encoder it is."""
        ...

    def encode(self, tower: Tower, texts: Sequence[str]) -> Embeddings:
        """The points of the texts, none empty. A text has the same point, to 1e-3, in any company."""
        ...
