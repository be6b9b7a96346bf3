"""Makes the vectors of a catalog and the index over them, as far as they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crystalmesh_common.runtime.errors import (
    DataCorruptError,
    ModelFailedError,
    StorageFullError,
    WriterBusyError,
)
from crystalmesh_retrieval.catalog.filters import Mask
from crystalmesh_retrieval.catalog.merging import mergeable
from crystalmesh_retrieval.catalog_index.blocks import Keys, VectorBlock, write_block
from crystalmesh_retrieval.catalog_index.folder import IndexFolder
from crystalmesh_retrieval.catalog_index.indexed import IndexedSnapshot, open_indexed
from crystalmesh_retrieval.catalog_index.manifest import BlockEntry, IndexManifest
from crystalmesh_retrieval.catalog_index.rebuilding import kind_due, property_queries, rebuild
from crystalmesh_retrieval.catalog_index.texts import Texts, describing, texts_of
from crystalmesh_retrieval.encoders.encoder import Encoder, Tower
from crystalmesh_retrieval.vectors.building import Progress
from crystalmesh_retrieval.vectors.kinds import IndexKind
from crystalmesh_retrieval.vectors.stored import Halves

COMMIT_TEXTS = 4096
"""Vectors that are made before they are put on the disk: what a kill costs at most."""


def index_catalog(
    folder: Path,
    encoder: Encoder,
    *,
    kind: IndexKind | None = None,
    progress: Progress = lambda *_: None,
    before: IndexedSnapshot | None = None,
    may_rebuild: bool = True,
    threads: int = 1,
    processes: int = 1,
) -> IndexedSnapshot:
    """The catalog with vectors for all its materials, each encoded once, and an index as large as it needs.

    Goes on where another run ended; what is damaged is made again. Where an index is due and `may_rebuild`
    holds, it is built, which takes minutes for a million; until then new vectors are searched one by one.
    A kind that somebody asks for stays until they ask for another; None leaves it. What was brought without
    a text is described, 10 ms each, in so many `processes`.

    Raises as `open_indexed` for the materials, WriterBusyError while another encodes, StorageFullError,
    and what the encoder raises. What was committed until then stays.
    """
    indexed = _opened(folder, encoder, before, threads)
    if indexed is None or indexed.info.missing_count or kind not in (None, indexed.wanted_kind):
        indexed = _encode_missing(folder, encoder, kind, indexed, progress, threads, processes)
    due = kind_due(indexed) if may_rebuild else None
    if due is None:
        return indexed
    queries = None if due is IndexKind.FLAT else property_queries(indexed.snapshot, encoder)
    try:
        return rebuild(folder, indexed, queries, progress=progress)
    except WriterBusyError:
        return indexed  # somebody else builds, and all is found meanwhile


def _opened(
    folder: Path, encoder: Encoder, before: IndexedSnapshot | None, threads: int
) -> IndexedSnapshot | None:
    """The catalog with what vectors there are, or None where some are damaged."""
    try:
        return open_indexed(folder, encoder.info, before, threads=threads)
    except DataCorruptError:
        return None


def _encode_missing(
    folder: Path,
    encoder: Encoder,
    kind: IndexKind | None,
    before: IndexedSnapshot | None,
    progress: Progress,
    threads: int,
    processes: int,
) -> IndexedSnapshot:
    index = IndexFolder(folder, encoder.info)
    with index.encoding_lock():
        if before is None:
            index.forget_damage()
        if kind is not None:
            index.commit(lambda manifest: manifest.changed(wanted_kind=kind))
        done = None
        while True:
            indexed = open_indexed(folder, encoder.info, before, threads=threads)
            # Materials that came while we were encoding are ours, too.
            if not indexed.info.missing_count or indexed.snapshot.manifest == done:
                return indexed
            _encode(index, indexed, encoder, progress, processes)
            done, before = indexed.snapshot.manifest, indexed


def _encode(
    index: IndexFolder, indexed: IndexedSnapshot, encoder: Encoder, progress: Progress, processes: int
) -> None:
    """Make the vectors of all that have none, and commit every few thousand."""
    total, done = indexed.info.missing_count, 0
    waiting: list[_Encoded] = []
    progress("encoding", 0, total)
    with describing(encoder.info, processes) as describe:
        for segment, missing in zip(indexed.snapshot.segments, indexed.missing(), strict=True):
            for texts in texts_of(segment, missing, describe):
                waiting.append(_encoded(encoder, texts))
                done += len(texts.texts)
                if sum(len(encoded.keys) for encoded in waiting) >= COMMIT_TEXTS:
                    _commit(index, waiting)
                    waiting = []
                progress("encoding", done, total)
    if waiting:
        _commit(index, waiting)


@dataclass(frozen=True, eq=False)
class _Encoded:
    """The vectors of some materials."""

    keys: Keys  # (n,)
    halves: Halves  # (n, dimensions), zeros where there was no text
    has_text: Mask  # (n,)


def _encoded(encoder: Encoder, texts: Texts) -> _Encoded:
    has_text = np.array([bool(text) for text in texts.texts])
    halves = np.zeros((len(has_text), encoder.info.dimensions), dtype=np.float16)
    if has_text.any():
        vectors = encoder.encode(Tower.STRUCTURE, [text for text in texts.texts if text]).vectors
        if not np.isfinite(vectors).all():
            raise ModelFailedError(f"the encoder {encoder.info.name} gave a vector that is not finite")
        halves[has_text] = vectors
    return _Encoded(texts.keys, halves, has_text)


def _commit(index: IndexFolder, encoded: Sequence[_Encoded]) -> None:
    keys = np.concatenate([part.keys for part in encoded])
    without_text = np.flatnonzero(~np.concatenate([part.has_text for part in encoded])).tolist()

    def appended(manifest: IndexManifest) -> IndexManifest:
        block = write_block(index.path, keys, [part.halves for part in encoded], without_text=without_text)
        return manifest.changed(blocks=_merged(index, manifest, block))

    index.commit(appended)


def _merged(index: IndexFolder, manifest: IndexManifest, new: BlockEntry) -> tuple[BlockEntry, ...]:
    """The blocks, the last ones made one where they are many and small; never the one under an index."""
    blocks = (*manifest.blocks, new)
    count = mergeable(blocks[1:] if manifest.ann else blocks)
    if not count:
        return blocks
    kept, merging = blocks[:-count], blocks[-count:]
    opened = [VectorBlock(index.path, entry, index.encoder.dimensions) for entry in merging]
    starts = np.cumsum([0, *(entry.rows for entry in merging)]).tolist()
    without_text = [
        start + row for start, entry in zip(starts, merging, strict=False) for row in entry.without_text
    ]
    keys = np.concatenate([block.keys for block in opened])
    halves = [block.vectors.halves for block in opened]
    try:
        return (*kept, write_block(index.path, keys, halves, without_text=without_text))
    except StorageFullError:
        return blocks  # the vectors are safe in the blocks that there are
