"""A catalog with its vectors, as a reader sees both at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crystalmesh_retrieval.catalog.filters import EVERYTHING, Mask, MaterialFilter
from crystalmesh_retrieval.catalog.manifest import read_manifest
from crystalmesh_retrieval.catalog.snapshot import Location, Snapshot, open_snapshot
from crystalmesh_retrieval.catalog_index.blocks import keys_of
from crystalmesh_retrieval.catalog_index.folder import IndexFolder, OpenedIndex
from crystalmesh_retrieval.encoders.encoder import EncoderInfo, Vectors
from crystalmesh_retrieval.vectors.index import Tuning, VectorIndex
from crystalmesh_retrieval.vectors.kinds import IndexKind
from crystalmesh_retrieval.vectors.nearest import DECIMALS, Nearest, joined, nothing

_ATTEMPTS = 5

Homes = NDArray[np.int64]  # by row, the place of its vector among those of all blocks, -1: it has none


class Hit(NamedTuple):
    """A material that a search found."""

    location: Location
    similarity: float  # cosine, -1 to 1, exact to 1e-3 for the encoder's vectors


@dataclass(frozen=True)
class IndexInfo:
    """How a catalog is searched."""

    kind: IndexKind
    encoder: str
    encoder_version: str
    dimensions: int
    recall_at_10: float  # of its index, as measured when that was built; 1 where it is exact
    found_count: int  # materials that searches find
    missing_count: int  # that have no vector yet: `index_catalog` makes them
    without_text_count: int  # that cannot be described, so no search finds them
    size_bytes: int
    update_time: datetime


class IndexedSnapshot:
    """A catalog at one moment with the vectors of one encoder. Threads may share it.

    A search uses `threads` cores where it has several queries.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        folder: IndexFolder,
        opened: OpenedIndex,
        before: IndexedSnapshot | None = None,
        *,
        threads: int = 1,
    ) -> None:
        self.snapshot = snapshot
        self.folder = folder
        self.opened = opened
        self.threads = threads
        # By segment and by block, where it starts among all rows; and at last, where they end.
        self._starts = np.cumsum([0, *(segment.row_count for segment in snapshot.segments)])
        self._block_starts = np.cumsum([0, *(len(block) for block in opened.blocks)])
        self._live = np.concatenate([np.zeros(0, dtype=bool), *snapshot.masks()])  # (rows,)
        self._homes = _homes(snapshot, opened, self._live, before)
        self._parts = list(self._searchable())

    @property
    def wanted_kind(self) -> IndexKind | None:
        """The kind of index that somebody asked for; None: by size."""
        return self.opened.manifest.wanted_kind

    @cached_property
    def info(self) -> IndexInfo:
        """How it is searched."""
        manifest, ann = self.opened.manifest, self.opened.manifest.ann
        without_text = sum(len(block.entry.without_text) for block in self.opened.blocks)
        missing = int(np.count_nonzero(self._live & (self._homes < 0)))
        found = sum(int(np.count_nonzero(part.rows >= 0)) for part in self._parts)
        return IndexInfo(
            kind=ann.kind if ann else IndexKind.FLAT,
            encoder=manifest.encoder.name,
            encoder_version=manifest.encoder.version,
            dimensions=manifest.encoder.dimensions,
            recall_at_10=ann.recall_at_10 if ann else 1.0,
            found_count=found,
            missing_count=missing,
            without_text_count=without_text,
            size_bytes=manifest.size_bytes,
            update_time=manifest.update_time,
        )

    def search(
        self, vectors: Vectors, limit: int, material_filter: MaterialFilter = EVERYTHING
    ) -> list[list[Hit]]:
        """The nearest materials that pass, for each vector of length 1, (queries, dimensions).

        The nearest first, and of equally near ones the first of the catalog; `limit` of them where there
        are as many.
        """
        if not len(vectors) or limit < 1:
            return [[] for _ in vectors]
        passing = None
        if material_filter != EVERYTHING:
            passing = np.concatenate([*self.snapshot.masks(material_filter), np.zeros(1, dtype=bool)])
        found = []
        for part in self._parts:
            nearest = part.index.search(vectors, limit, part.mask(passing))
            rows = np.where(nearest.positions < 0, -1, part.rows[nearest.positions])
            found.append(Nearest(rows, nearest.similarities))
        return self._hits(joined(found, limit) if found else nothing(len(vectors), limit))

    def missing(self) -> list[Mask]:
        """By segment, which rows are materials without a vector."""
        rows = self._live & (self._homes < 0)
        return [rows[start:end] for start, end in pairwise(self._starts.tolist())]

    def homes_of(self, segment: int) -> Homes:
        """By row of a segment, the place of its vector."""
        return self._homes[self._starts[segment] : self._starts[segment + 1]]

    def living_homes(self) -> Homes:
        """The places of the vectors of all materials, in the order of the catalog."""
        return self._homes[self._live & (self._homes >= 0)]

    def _searchable(self) -> Iterator[_Part]:
        """By block, its vectors and whose they are."""
        for number, block in enumerate(self.opened.blocks):
            first, end = self._block_starts[number : number + 2].tolist()
            rows = np.full(len(block), -1, dtype=np.int32)
            owners = np.flatnonzero(self._live & (self._homes >= first) & (self._homes < end))
            rows[self._homes[owners] - first] = owners
            rows[list(block.entry.without_text)] = -1
            ann = self.opened.manifest.ann if number == 0 else None
            if ann is None:
                index = VectorIndex(block.vectors, threads=self.threads)
            else:
                tuning = Tuning(
                    ann.kind,
                    ann.effort,
                    ann.candidates,
                    ann.growth_by_limit,
                    ann.growth_by_filter,
                    ann.recall_at_10,
                )
                index = VectorIndex(block.vectors, self.opened.ann, tuning, threads=self.threads)
            yield _Part(index, rows)

    def _hits(self, nearest: Nearest) -> list[list[Hit]]:
        segments = np.searchsorted(self._starts, nearest.positions, side="right") - 1
        rows = nearest.positions - self._starts[segments]
        similarities = np.round(nearest.similarities.astype(np.float64), DECIMALS)
        columns = zip(segments.tolist(), rows.tolist(), similarities.tolist(), strict=True)
        counts = np.count_nonzero(nearest.positions >= 0, axis=1).tolist()
        return [
            [
                Hit((segment, row), similarity)
                for segment, row, similarity in islice(zip(*query, strict=True), count)
            ]
            for query, count in zip(columns, counts, strict=True)
        ]


class _Part:
    """The vectors of a block and the rows of the catalog that they are of, (n,), -1: of none."""

    def __init__(self, index: VectorIndex, rows: NDArray[np.int32]) -> None:
        self.index = index
        self.rows = rows
        self._owned = rows >= 0
        self._all_owned = bool(self._owned.all())

    def mask(self, passing: Mask | None) -> Mask | None:
        """Which vectors count where these rows pass; the last of `passing` is for vectors of none."""
        if passing is not None:
            return passing[self.rows]
        return None if self._all_owned else self._owned


def open_indexed(
    folder: Path, encoder: EncoderInfo, before: IndexedSnapshot | None = None, *, threads: int = 1
) -> IndexedSnapshot:
    """The catalog in a folder as it is now, with the vectors of an encoder that there are.

    What `before` has open is not read and checked again. A catalog that was never indexed has no vectors,
    and searches find nothing. Raises as `open_snapshot`, and DataCorruptError where vectors are damaged,
    which `index_catalog` mends.
    """
    index = IndexFolder(folder, encoder)
    for _ in range(_ATTEMPTS):
        snapshot = open_snapshot(folder, before.snapshot if before else None)
        opened = index.open(before.opened if before else None)
        indexed = IndexedSnapshot(snapshot, index, opened, before, threads=threads)
        # Vectors of materials that are gone by now may be gone, too, so a catalog that has moved on counts.
        if not indexed.info.missing_count or read_manifest(folder) == snapshot.manifest:
            break
    return indexed


def _homes(snapshot: Snapshot, opened: OpenedIndex, live: Mask, before: IndexedSnapshot | None) -> Homes:
    """By row of the catalog, the place of its vector; what `before` has found out is taken over."""
    homes = np.concatenate([np.zeros(0, dtype=np.int64), *_homes_before(snapshot, opened, before)])
    wanted = np.flatnonzero(live & (homes < 0))
    if not wanted.size:
        return homes
    starts = np.cumsum([0, *(segment.row_count for segment in snapshot.segments)])
    parts = np.split(wanted, np.searchsorted(wanted, starts[1:-1]))
    keys = np.concatenate(
        [
            keys_of(segment.content_hashes[rows - first])
            for segment, rows, first in zip(snapshot.segments, parts, starts.tolist(), strict=False)
            if rows.size
        ]
    )
    start = 0
    for block in opened.blocks:
        rows = block.rows_of(keys)
        found = (rows >= 0) & (homes[wanted] < 0)
        homes[wanted[found]] = start + rows[found]
        start += len(block)
    return homes


def _homes_before(snapshot: Snapshot, opened: OpenedIndex, before: IndexedSnapshot | None) -> Iterator[Homes]:
    """By segment, what was known of it, in terms of the blocks as they are now."""
    known = {}
    if before is not None:
        starts = np.cumsum([0, *(len(block) for block in opened.blocks)])
        now = {block.entry.file: start for block, start in zip(opened.blocks, starts.tolist(), strict=False)}
        moved = np.concatenate(
            [
                np.arange(len(block)) + now[block.entry.file]
                if block.entry.file in now
                else np.full(len(block), -1)
                for block in before.opened.blocks
            ]
            + [np.full(1, -1)]
        )
        known = {
            segment.entry.file: moved[before.homes_of(number)]
            for number, segment in enumerate(before.snapshot.segments)
        }
    for segment in snapshot.segments:
        yield known.get(segment.entry.file, np.full(segment.row_count, -1, dtype=np.int64))
