"""Points in the space of an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crystalmesh.retrieval.v1 import embedding_pb2
from crystalmesh_client.queries import Query
from crystalmesh_common.runtime.errors import InvalidFieldError

TowerName = Literal["", "properties", "structure"]
"""The half of an encoder: for descriptions of properties, of structures; empty: by the kind of input."""

Vectors = NDArray[np.float32]

_TOWERS: Mapping[str, embedding_pb2.Tower.ValueType] = {
    "": embedding_pb2.TOWER_UNSPECIFIED,
    "properties": embedding_pb2.TOWER_PROPERTIES,
    "structure": embedding_pb2.TOWER_STRUCTURE,
}
_TOWER_NAMES = {number: name for name, number in _TOWERS.items()}


@dataclass(frozen=True, eq=False)
class Embedding:
    """The point of one input. Only points of one encoder compare."""

    id: str
    vector: Vectors = field(repr=False)  # (d,), of length 1: a dot product is the cosine similarity
    encoder: str
    tower: str  # "properties" or "structure"
    truncated: bool  # the text was longer than the encoder reads, and was cut


def tower_number(tower: str) -> embedding_pb2.Tower.ValueType:
    """The enum value of a tower; InvalidFieldError for a name that is none."""
    if tower not in _TOWERS:
        raise InvalidFieldError(f"a tower is 'properties' or 'structure', not {tower[:80]!r}", field="tower")
    return _TOWERS[tower]


def embedding_from(message: embedding_pb2.Embedding, query: Query) -> Embedding:
    """The typed form of a message about `query`."""
    return Embedding(
        id=query.id,
        vector=np.array(message.values, dtype=np.float32),
        encoder=message.encoder,
        tower=_TOWER_NAMES.get(message.tower, ""),
        truncated=message.truncated,
    )


def stacked(embeddings: Mapping[str, Vectors], queries: list[Query]) -> Vectors:
    """The vectors by the order of the queries, (n, d)."""
    return np.stack([embeddings[query.id] for query in queries]) if queries else np.zeros((0, 0), np.float32)
