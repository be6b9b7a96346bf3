"""Brings a damaged catalog back into service without what is damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crystalmesh_common.runtime.durable import make_folder
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.catalog.lock import WriterLock
from crystalmesh_retrieval.catalog.manifest import SegmentEntry, read_manifest, write_manifest
from crystalmesh_retrieval.catalog.segment import SEGMENTS, Segment
from crystalmesh_retrieval.catalog.writer import LOCK

DAMAGED = "damaged"


@dataclass(frozen=True)
class Repaired:
    """What had to be set aside."""

    segments: int
    materials: int


def repair(folder: Path) -> Repaired:
    """Set damaged segments aside, under damaged/; the catalog goes on with the others.

    Imports start over, and since what is there is not added twice, they bring back what was lost. Raises
    as `read_manifest`, and WriterBusyError while somebody writes.
    """
    with WriterLock(folder / LOCK, read_manifest(folder).name):
        manifest = read_manifest(folder)
        whole = {entry.file: segment for entry in manifest.segments if (segment := _whole(folder, entry))}
        lost = [entry for entry in manifest.segments if entry.file not in whole]
        if not lost:
            return Repaired(0, 0)
        make_folder(folder / DAMAGED)
        for entry in lost:
            path = folder / SEGMENTS / entry.file
            if path.exists():
                path.replace(folder / DAMAGED / entry.file)
        kept = tuple(entry for entry in manifest.segments if entry.file in whole)
        version = sum(_sum_of_hashes(whole[entry.file], entry) for entry in kept) % 2**256
        write_manifest(folder, manifest.changed(segments=kept, content_version=f"{version:064x}", imports={}))
        return Repaired(len(lost), sum(entry.live_rows for entry in lost))


def _whole(folder: Path, entry: SegmentEntry) -> Segment | None:
    try:
        return Segment(folder, entry)
    except (DataCorruptError, FileNotFoundError):
        return None


def _sum_of_hashes(segment: Segment, entry: SegmentEntry) -> int:
    hashes = np.delete(segment.content_hashes, list(entry.dead_rows))
    return sum(int.from_bytes(content.tobytes(), "big") for content in hashes)
