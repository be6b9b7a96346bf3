"""Adds to a catalog and takes from it. What a call has returned for is on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from crystalmesh_common.runtime.errors import StorageFullError
from crystalmesh_retrieval.catalog.changes import Changes, changes_by
from crystalmesh_retrieval.catalog.lock import WriterLock
from crystalmesh_retrieval.catalog.manifest import (
    ImportEntry,
    Manifest,
    SegmentEntry,
    read_manifest,
    write_manifest,
)
from crystalmesh_retrieval.catalog.material import MaterialInput
from crystalmesh_retrieval.catalog.merging import mergeable
from crystalmesh_retrieval.catalog.rows import Row, table_of
from crystalmesh_retrieval.catalog.segment import SEGMENTS, write_segment
from crystalmesh_retrieval.catalog.snapshot import Location, Snapshot, open_snapshot

LOCK = "writer.lock"


class CatalogWriter:
    """The one writer of a catalog, while it is open.

    Raises ResourceNotFoundError where there is no catalog, WriterBusyError where somebody else writes, and
    DataCorruptError where a file is damaged. What a killed writer has left behind is cleared away.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = WriterLock(folder / LOCK, read_manifest(folder).name)
        try:
            self._snapshot = open_snapshot(folder)
            self._clear()
        except BaseException:
            self._lock.release()
            raise

    @property
    def snapshot(self) -> Snapshot:
        """The catalog after the last change."""
        return self._snapshot

    def add(
        self,
        materials: Sequence[MaterialInput],
        *,
        imports: Mapping[str, ImportEntry] | None = None,
        attributions: Iterable[str] = (),
    ) -> Changes:
        """Add materials, all in one step with the state of imports; when it returns they are on the disk.

        A material whose id is known takes its place, also within the batch. One that is equal to what is
        there changes nothing. One that is no crystal is rejected, and the others are added. Raises
        StorageFullError where the disk is full, and then nothing has changed.
        """
        ids = list(dict.fromkeys(material.id for material in materials if material.id.isprintable()))
        located = {
            material_id: location
            for material_id, location in zip(ids, self._snapshot.locate(ids), strict=True)
            if location is not None
        }
        known = {material_id: self._snapshot.content_hash(place) for material_id, place in located.items()}
        changes = changes_by(materials, known)
        self._commit(
            list(changes.rows.values()),
            [located[material_id] for material_id in changes.rows if material_id in located],
            imports=imports or {},
            attributions=attributions,
        )
        return changes

    def remove(self, material_ids: Iterable[str]) -> int:
        """Take materials out, all in one step, and answer how many were there."""
        located = self._snapshot.locate(list(dict.fromkeys(material_ids)))
        gone = [location for location in located if location is not None]
        self._commit([], gone)
        return len(gone)

    def describe(self, description: str) -> None:
        """Say what the catalog holds."""
        self._publish(description=description)

    def close(self) -> None:
        """Let others write."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _commit(
        self,
        rows: Sequence[Row],
        gone: Sequence[Location],
        *,
        imports: Mapping[str, ImportEntry] | None = None,
        attributions: Iterable[str] = (),
    ) -> None:
        before = self._snapshot.manifest
        changed: dict[str, Any] = {}
        if rows or gone:
            changed["content_version"] = self._version(rows, gone)
            changed["segments"] = _without(before.segments, gone)
            if rows:
                changed["segments"] += (write_segment(self._folder, table_of(rows)),)
        if imports:
            changed["imports"] = {**before.imports, **imports}
        if news := tuple(text for text in attributions if text and text not in before.attributions):
            changed["attributions"] = before.attributions + news
        if changed:
            self._publish(**changed)
            self._merge()

    def _version(self, rows: Sequence[Row], gone: Sequence[Location]) -> str:
        total = int(self._snapshot.manifest.content_version, 16)
        total += sum(int.from_bytes(row.content_sha256, "big") for row in rows)
        total -= sum(int.from_bytes(self._snapshot.content_hash(place), "big") for place in gone)
        return f"{total % 2**256:064x}"

    def _merge(self) -> None:
        """Make the last segments one where they are many and small."""
        segments = self._snapshot.manifest.segments
        count = mergeable(segments)
        if not count:
            return
        kept = len(segments) - count
        tables = self._snapshot.segment_tables(range(kept, len(segments)))
        try:
            merged = write_segment(self._folder, pa.concat_tables(tables))
            self._publish(segments=(*segments[:kept], merged))
        except StorageFullError:
            return  # the materials are safe in the segments that there are
        self._clear()

    def _publish(self, **fields: Any) -> None:
        manifest: Manifest = self._snapshot.manifest.changed(**fields)
        write_manifest(self._folder, manifest)
        self._snapshot = open_snapshot(self._folder, self._snapshot)

    def _clear(self) -> None:
        """Delete what no manifest names. Readers of an older one have the files open."""
        named = {segment.file for segment in self._snapshot.manifest.segments}
        for path in (self._folder / SEGMENTS).iterdir():
            if path.name not in named:
                path.unlink()


def _without(segments: Sequence[SegmentEntry], gone: Sequence[Location]) -> tuple[SegmentEntry, ...]:
    """The segments with these rows dead; one without living rows is left out."""
    dead = [set(segment.dead_rows) for segment in segments]
    for number, row in gone:
        dead[number].add(row)
    marked = (
        segment.model_copy(update={"dead_rows": tuple(sorted(rows))})
        for segment, rows in zip(segments, dead, strict=True)
    )
    return tuple(segment for segment in marked if segment.live_rows)
