"""Puts the vectors of a catalog in one block without the dead, with an index over it where it is large."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from crystalmesh_common.crystal.description import describe_properties
from crystalmesh_common.runtime.durable import make_folder, sync_folder
from crystalmesh_retrieval.catalog.material import Material
from crystalmesh_retrieval.catalog.snapshot import Snapshot
from crystalmesh_retrieval.catalog_index.blocks import KEY_BYTES, Keys, VectorBlock, write_block
from crystalmesh_retrieval.catalog_index.files import Write, write_named
from crystalmesh_retrieval.catalog_index.folder import IndexFolder, OpenedIndex
from crystalmesh_retrieval.catalog_index.indexed import Homes, IndexedSnapshot, open_indexed
from crystalmesh_retrieval.catalog_index.manifest import AnnEntry, BlockEntry, IndexManifest
from crystalmesh_retrieval.encoders.encoder import Encoder, Tower, Vectors
from crystalmesh_retrieval.vectors.building import Progress, build_ann
from crystalmesh_retrieval.vectors.kinds import FEWEST_FOR_ANN, FLAT_BYTES, IndexKind, choose_kind
from crystalmesh_retrieval.vectors.library import faiss
from crystalmesh_retrieval.vectors.stored import BLOCK_ROWS, Halves
from crystalmesh_retrieval.vectors.tuning import SAMPLE

_DEAD_SHARE = 0.3  # of the vectors under an index, or of all; each makes a search slower


def kind_due(indexed: IndexedSnapshot) -> IndexKind | None:
    """The kind of index to build now; None where what there is will do."""
    manifest, living = indexed.opened.manifest, len(indexed.living_homes())
    rows = sum(block.rows for block in manifest.blocks)
    by_size = choose_kind(living, manifest.encoder.dimensions)
    kind = (manifest.wanted_kind or by_size) if living >= FEWEST_FOR_ANN else IndexKind.FLAT
    present = manifest.ann.kind if manifest.ann else IndexKind.FLAT
    beside = rows - (manifest.blocks[0].rows if manifest.ann else 0)  # searched one by one
    is_due = (
        (rows > FEWEST_FOR_ANN and rows - living > _DEAD_SHARE * rows)
        or (manifest.wanted_kind is not None and kind is not present)
        or (kind is not IndexKind.FLAT and 2 * beside * manifest.encoder.dimensions > FLAT_BYTES)
    )
    return kind if is_due else None


def property_queries(snapshot: Snapshot, encoder: Encoder) -> Vectors:
    """Queries as people make them: what is known of some of the materials, as the other tower reads it."""
    locations = [
        (number, row)
        for number, mask in enumerate(snapshot.masks())
        for row in np.flatnonzero(mask)[:: max(1, len(snapshot) // SAMPLE)].tolist()
    ][:SAMPLE]
    texts = [text for material in snapshot.materials_at(locations) if (text := _asked(material))]
    return encoder.encode(Tower.PROPERTIES, texts).vectors


def rebuild(
    folder: Path,
    indexed: IndexedSnapshot,
    queries: Vectors | None = None,
    *,
    progress: Progress = lambda *_: None,
) -> IndexedSnapshot:
    """Build what is due, beside those who search and encode; tuned for `queries`.

    Raises WriterBusyError while another builds, and StorageFullError; then all is as before.
    """
    index = indexed.folder
    with index.building_lock():
        index.clear_building()
        indexed = open_indexed(folder, index.encoder, indexed, threads=indexed.threads)
        kind = kind_due(indexed)
        if kind is None:  # somebody else was faster
            return indexed
        make_folder(index.building)
        before = indexed.opened.manifest
        block = _compacted(index, indexed, progress)
        ann = None
        if block and kind is not IndexKind.FLAT:
            ann = _built(index, block, kind, queries, indexed.threads, progress)

        def replaced(manifest: IndexManifest) -> IndexManifest:
            for entry in (block, ann):
                if entry:
                    (index.building / entry.file).replace(index.path / entry.file)
            sync_folder(index.path)
            # What others have added since; of a block merged by them some vectors are there twice.
            news = [entry for entry in manifest.blocks if entry not in before.blocks]
            return manifest.changed(blocks=tuple([block, *news] if block else news), ann=ann)

        index.commit(replaced)
        index.clear_building()
        return open_indexed(folder, index.encoder, indexed, threads=indexed.threads)


def _compacted(index: IndexFolder, indexed: IndexedSnapshot, progress: Progress) -> BlockEntry | None:
    """The vectors of all materials as one block, in the order of the catalog; None where there are none."""
    homes = indexed.living_homes()
    if not len(homes):
        return None
    places = _Places(indexed.opened, homes)
    progress("gathering vectors", 0, len(homes))
    return write_block(
        index.building, places.keys(), places.halves(progress), without_text=places.without_text()
    )


class _Places:
    """Vectors by their places among those of all blocks, in any order."""

    def __init__(self, opened: OpenedIndex, homes: Homes) -> None:
        self._blocks = opened.blocks
        self._homes = homes
        starts = np.cumsum([0, *(len(block) for block in opened.blocks)])
        self._numbers = np.searchsorted(starts, homes, side="right") - 1
        self._rows = homes - starts[self._numbers]

    def keys(self) -> Keys:
        keys = np.empty(len(self._homes), dtype=f"V{KEY_BYTES}")
        for number, block in enumerate(self._blocks):
            of_block = self._numbers == number
            keys[of_block] = block.keys[self._rows[of_block]]
        return keys

    def halves(self, progress: Progress) -> Iterator[Halves]:
        """All vectors, a part at a time."""
        for start in range(0, len(self._homes), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            numbers, rows = self._numbers[part], self._rows[part]
            halves = np.empty((len(rows), self._blocks[0].vectors.dimensions), dtype=np.float16)
            for number in np.unique(numbers).tolist():
                of_block = numbers == number
                halves[of_block] = self._blocks[number].vectors.halves[rows[of_block]]
            yield halves
            progress("gathering vectors", start + len(rows), len(self._homes))

    def without_text(self) -> list[int]:
        found = np.zeros(len(self._homes), dtype=bool)
        for number, block in enumerate(self._blocks):
            found |= (self._numbers == number) & np.isin(self._rows, block.entry.without_text)
        return np.flatnonzero(found).tolist()


def _built(
    index: IndexFolder,
    entry: BlockEntry,
    kind: IndexKind,
    queries: Vectors | None,
    threads: int,
    progress: Progress,
) -> AnnEntry:
    """An index over a block, both in the folder of builders."""
    started = time.perf_counter()
    block = VectorBlock(index.building, entry, index.encoder.dimensions)
    ann, tuning = build_ann(block.vectors, kind, queries, threads=threads, progress=progress)

    def fill(write: Write) -> None:
        faiss.write_index(ann, faiss.PyCallbackIOWriter(write))

    written = write_named(index.building, ".faiss", fill)
    return AnnEntry(
        file=written.file,
        bytes=written.bytes,
        sha256=written.sha256,
        over=entry.file,
        kind=kind,
        effort=tuning.effort,
        candidates=tuning.candidates,
        growth_by_limit=tuning.growth_by_limit,
        growth_by_filter=tuning.growth_by_filter,
        recall_at_10=tuning.recall_at_10,
        build_seconds=round(time.perf_counter() - started, 1),
    )


def _asked(material: Material) -> str:
    known = {str(name): value.value for name, value in material.properties.items()}
    return material.property_description or describe_properties(
        known, formula=material.formula, space_group_number=material.space_group_number
    )
