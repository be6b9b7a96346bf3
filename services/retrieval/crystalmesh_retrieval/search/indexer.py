"""Catalogs with their vectors, as files: what the server opens and builds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast

from crystalmesh_retrieval.catalog.manifest import MANIFEST, read_manifest
from crystalmesh_retrieval.catalog_index.files import index_folder
from crystalmesh_retrieval.encoders.encoder import Encoder, EncoderInfo
from crystalmesh_retrieval.search.served import IndexedCatalog, Progress

if TYPE_CHECKING:
    from crystalmesh_retrieval.catalog_index.indexed import IndexedSnapshot

# It tells of every build of itself that it looks for.
logging.getLogger("faiss.loader").setLevel(logging.WARNING)

_FEWEST_FOR_PROCESSES = 2000
"""New materials that are described in processes of their own, which take some seconds to start."""


class CatalogIndexer:
    """The indexes of `crystalmesh catalog index`; a search of several queries uses so many threads."""

    def __init__(self, *, threads: int) -> None:
        self._threads = threads

    def manifest(self, folder: Path, encoder: EncoderInfo) -> Path:
        return index_folder(folder, encoder.name, encoder.version) / MANIFEST

    def open(self, folder: Path, encoder: EncoderInfo, before: IndexedCatalog | None) -> IndexedCatalog:
        from crystalmesh_retrieval.catalog_index.indexed import open_indexed  # noqa: PLC0415 -- faiss

        return open_indexed(folder, encoder, cast("IndexedSnapshot | None", before), threads=self._threads)

    def build(
        self, folder: Path, encoder: Encoder, before: IndexedCatalog | None, progress: Progress
    ) -> IndexedCatalog:
        from crystalmesh_retrieval.catalog_index.indexing import index_catalog  # noqa: PLC0415 -- faiss

        return index_catalog(
            folder,
            encoder,
            progress=progress,
            before=cast("IndexedSnapshot | None", before),
            may_rebuild=False,
            threads=self._threads,
            processes=self._threads if self._many_are_new(folder, before) else 1,
        )

    def _many_are_new(self, folder: Path, before: IndexedCatalog | None) -> bool:
        known = len(before.snapshot) if before is not None else 0
        return read_manifest(folder).material_count - known >= _FEWEST_FOR_PROCESSES

    def can_be_faster(self, indexed: IndexedCatalog) -> bool:
        from crystalmesh_retrieval.catalog_index.rebuilding import kind_due  # noqa: PLC0415 -- faiss

        return kind_due(cast("IndexedSnapshot", indexed)) is not None

    def make_faster(self, folder: Path, indexed: IndexedCatalog, encoder: Encoder) -> None:
        from crystalmesh_retrieval.catalog_index.rebuilding import (  # noqa: PLC0415 -- faiss
            property_queries,
            rebuild,
        )

        opened = cast("IndexedSnapshot", indexed)
        rebuild(folder, opened, property_queries(opened.snapshot, encoder))
