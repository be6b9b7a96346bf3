"""The encoder as the runner's worker: encodes the texts of all callers together and finds what is near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelNotFoundError
from crystalmesh_common.runtime.runner import Answer, Runner
from crystalmesh_retrieval.catalog.filters import MaterialFilter
from crystalmesh_retrieval.catalog.snapshot import Location, Snapshot
from crystalmesh_retrieval.encoders.encoder import Encoder, Tower, Vectors

CHARACTERS_PER_TOKEN = 3.0
"""About, in descriptions of crystals; only the size of batches depends on it."""

_FEWEST_OF_FORMULA = 50
"""Materials of one formula that are found, the nearest first; a crystal is compared with them."""


class FoundHit(Protocol):
    """A material near a query."""

    @property
    def location(self) -> Location: ...
    @property
    def similarity(self) -> float: ...


class SearchableCatalog(Protocol):
    """A catalog at one moment with its vectors, as `catalog_index` opens it. Threads may share it."""

    @property
    def snapshot(self) -> Snapshot: ...

    def search(
        self, vectors: Vectors, limit: int, material_filter: MaterialFilter = ...
    ) -> Sequence[Sequence[FoundHit]]:
        """The nearest of each vector, (q, d), nearest first; a strict filter still fills `limit`."""
        ...


@dataclass(frozen=True, eq=False)
class Text:
    """A text to encode."""

    text: str  # not empty
    tower: Tower


@dataclass(frozen=True, eq=False)
class SearchPlan:
    """Where and how to search. Plans of equal keys search the same."""

    key: tuple[object, ...]
    catalog: SearchableCatalog
    limit: int
    material_filter: MaterialFilter


@dataclass(frozen=True, eq=False)
class Search:
    """A text whose nearest materials are wanted."""

    text: Text
    plan: SearchPlan
    crystal: Crystal | None = None  # that the text describes, for a query by crystal
    formula_filter: MaterialFilter | None = None  # what has the formula that was named; None: none was


@dataclass(frozen=True, eq=False)
class Encoded:
    """The point of a text."""

    vector: Vectors  # (dimensions,)
    truncated: bool
    tower: Tower


@dataclass(frozen=True, eq=False)
class Found:
    """The nearest materials of a search, and those of the formula that it names."""

    search: Search
    hits: Sequence[FoundHit]
    same_formula: Sequence[FoundHit] = ()


Item = Text | Search
Outcome = Encoded | Found
EncodingRunner = Runner[str, Item, Outcome]


class EncodingWorker:
    """Encodes, a batch per tower, and searches, a batch per plan."""

    def __init__(self, encoder: Encoder | None) -> None:
        self._encoder = encoder

    def cost(self, item: Item) -> float:
        text = _text_of(item).text
        most = self._encoder.info.max_tokens if self._encoder is not None else 1
        return min(most, 1 + len(text) / CHARACTERS_PER_TOKEN)

    def run(self, key: str, items: Sequence[Item]) -> Sequence[Answer[Outcome]]:
        encoded = self._encode([_text_of(item) for item in items])
        answers: list[Answer[Outcome]] = list(encoded)
        by_plan: dict[tuple[object, ...], list[int]] = {}
        for position, item in enumerate(items):
            if isinstance(item, Search):
                by_plan.setdefault(item.plan.key, []).append(position)
        for positions in by_plan.values():
            searches = [item for item in (items[p] for p in positions) if isinstance(item, Search)]
            vectors = np.stack([encoded[position].vector for position in positions])
            for position, answer in zip(positions, _found(searches, vectors), strict=True):
                answers[position] = answer
        return answers

    def close(self) -> None:
        self._encoder = None

    def _encode(self, texts: Sequence[Text]) -> list[Encoded]:
        if self._encoder is None:
            raise ModelNotFoundError("no encoder is served here", known="")
        encoded: dict[int, Encoded] = {}
        for tower in Tower:
            positions = [position for position, text in enumerate(texts) if text.tower is tower]
            if not positions:
                continue
            found = self._encoder.encode(tower, [texts[position].text for position in positions])
            for row, position in enumerate(positions):
                encoded[position] = Encoded(found.vectors[row], bool(found.truncated[row]), tower)
        return [encoded[position] for position in range(len(texts))]


def _text_of(item: Item) -> Text:
    return item.text if isinstance(item, Search) else item


def _found(searches: Sequence[Search], vectors: Vectors) -> list[Found | CrystalMeshError]:
    """The neighbours of searches with one plan."""
    plan = searches[0].plan
    nearest = plan.catalog.search(vectors, plan.limit, plan.material_filter)
    return [
        Found(search, hits, _same_formula(search, vector))
        for search, hits, vector in zip(searches, nearest, vectors, strict=True)
    ]


def _same_formula(search: Search, vector: Vectors) -> Sequence[FoundHit]:
    if search.formula_filter is None:
        return ()
    plan = search.plan
    limit = max(plan.limit, _FEWEST_OF_FORMULA)
    (hits,) = plan.catalog.search(vector[None, :], limit, search.formula_filter)
    return hits
