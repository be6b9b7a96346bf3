"""What a reader sees of a catalog: one state of it, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.catalog.filters import EVERYTHING, Mask, MaterialFilter
from crystalmesh_retrieval.catalog.manifest import Manifest, SegmentEntry, read_manifest
from crystalmesh_retrieval.catalog.material import Material, Property
from crystalmesh_retrieval.catalog.rows import id_key, materials_of
from crystalmesh_retrieval.catalog.segment import SEGMENTS, Segment

Location = tuple[int, int]
"""Segment and row."""

_ATTEMPTS = 10


class Snapshot:
    """The materials of a catalog at one moment, numbered from 0 segment by segment. Threads may share it."""

    def __init__(self, manifest: Manifest, segments: Sequence[Segment]) -> None:
        self.manifest = manifest
        self.segments = segments

    def __len__(self) -> int:
        return self.manifest.material_count

    def locate(self, material_ids: Sequence[str]) -> list[Location | None]:
        """Where each material is; None for those that are not here."""
        found: list[Location | None] = [None] * len(material_ids)
        keys = np.array([id_key(material_id) for material_id in material_ids], dtype=np.uint64)
        for number, segment in enumerate(self.segments):
            rows = segment.rows_of(keys)
            for position in np.flatnonzero(rows >= 0).tolist():
                row = self._live_row(number, int(rows[position]), material_ids[position])
                if row is not None:
                    found[position] = (number, row)
        return found

    def get(self, material_id: str) -> Material | None:
        """The material of that id, or None."""
        (location,) = self.locate([material_id])
        return None if location is None else self.materials_at([location])[0]

    def materials_at(self, locations: Sequence[Location]) -> list[Material]:
        """The materials at these places, in this order; those of one chunk are decoded together."""
        by_chunk: dict[Location, list[int]] = {}
        offsets: list[int] = []
        for position, (segment, row) in enumerate(locations):
            chunk, offset = self.segments[segment].chunk_of(row)
            by_chunk.setdefault((segment, chunk), []).append(position)
            offsets.append(offset)
        found: dict[int, Material] = {}
        for (segment, chunk), positions in by_chunk.items():
            rows = pa.array([offsets[position] for position in positions])
            table = self.segments[segment].table(chunk).take(rows)
            found.update(zip(positions, materials_of(table), strict=True))
        return [found[position] for position in range(len(locations))]

    def content_hash(self, location: Location) -> bytes:
        """The hash of what was brought of a material."""
        segment, row = location
        content: bytes = self.segments[segment].content_hashes[row].tobytes()
        return content

    def masks(self, material_filter: MaterialFilter = EVERYTHING) -> list[Mask]:
        """By segment, which rows are materials of the catalog and pass the filter."""
        return [
            live & material_filter.mask(segment, segment.row_count)
            for segment, live in zip(self.segments, self._live, strict=True)
        ]

    def count(self, material_filter: MaterialFilter = EVERYTHING) -> int:
        """How many materials pass."""
        return sum(int(mask.sum()) for mask in self.masks(material_filter))

    def tables(
        self, material_filter: MaterialFilter = EVERYTHING, columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """The materials that pass as tables of some thousand rows; no more than one is in memory."""
        for segment, mask in zip(self.segments, self.masks(material_filter), strict=True):
            yield from segment.tables(mask, columns)

    def segment_tables(self, segments: Iterable[int]) -> Iterator[pa.Table]:
        """All materials of some of the segments, in order."""
        for number in segments:
            yield from self.segments[number].tables(self._live[number])

    def materials(self, material_filter: MaterialFilter = EVERYTHING) -> Iterator[Material]:
        """The materials that pass, one by one."""
        for table in self.tables(material_filter):
            yield from materials_of(table)

    def atomic_numbers(self) -> tuple[int, ...]:
        """The elements that occur, ascending."""
        occurring = 0
        for segment, live in zip(self.segments, self._live, strict=True):
            for shift, name in ((0, "elements_1_to_64"), (64, "elements_65_to_118")):
                occurring |= int(np.bitwise_or.reduce(segment.column(name)[live], initial=0)) << shift
        return tuple(bit + 1 for bit in range(occurring.bit_length()) if occurring >> bit & 1)

    def coverage(self) -> Mapping[Property, int]:
        """For how many materials each property is known, in the order of the API."""
        return {
            name: sum(
                int(np.isfinite(segment.column(name)[live]).sum())
                for segment, live in zip(self.segments, self._live, strict=True)
            )
            for name in Property
        }

    def _live_row(self, number: int, last: int, material_id: str) -> int | None:
        """The live row of an id in a segment, where the last row with its key is known."""
        segment, live = self.segments[number], self._live[number]
        if segment.texts("id")[last].as_py() == material_id:
            return last if live[last] else None
        # Another id with the same key.
        same = np.flatnonzero(segment.column("id_key") == segment.column("id_key")[last])
        rows = (int(row) for row in same if segment.texts("id")[row].as_py() == material_id)
        return next((row for row in rows if live[row]), None)

    @cached_property
    def _live(self) -> Sequence[Mask]:
        return [_live_rows(entry) for entry in self.manifest.segments]


def open_snapshot(folder: Path, before: Snapshot | None = None) -> Snapshot:
    """The catalog as it is now. Segments that `before` has open are not read and checked again.

    Raises ResourceNotFoundError where there is no catalog, and DataCorruptError where a file is damaged or
    missing; nothing of a damaged catalog is served.
    """
    known = {segment.entry.sha256: segment for segment in before.segments} if before else {}
    for _ in range(_ATTEMPTS):
        manifest = read_manifest(folder)
        try:
            opened = [known.get(entry.sha256) or Segment(folder, entry) for entry in manifest.segments]
        except FileNotFoundError as error:
            # A writer has merged segments since we read the manifest.
            if read_manifest(folder) != manifest:
                continue
            raise DataCorruptError(
                f"the segment {error.filename} is gone: restore it from a copy, or run "
                f"`crystalmesh catalog repair {manifest.name}` and import its sources again",
                file=error.filename,
            ) from None
        return Snapshot(manifest, opened)
    raise DataCorruptError(f"{folder / SEGMENTS} changes faster than it can be read", file=folder)


def _live_rows(entry: SegmentEntry) -> Mask:
    live = np.ones(entry.rows, dtype=bool)
    live[list(entry.dead_rows)] = False
    return live
